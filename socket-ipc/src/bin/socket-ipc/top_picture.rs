//! The picture of `top` on a screen.

use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier, Style};

use crate::arguments_watching::Column;
use crate::paint::Shown;
use crate::top_look::{Look, Row};

/// How wide a column of rates is.
const RATE: u16 = 13;

const COLUMNS: [(Column, &str); 4] = [
    (Column::Received, "received/s"),
    (Column::Sent, "sent/s"),
    (Column::Bytes, "bytes/s"),
    (Column::Arrived, "arrived/s"),
];

/// What is shown, and how.
pub(crate) struct View {
    path: String,
    pub(crate) sort: Column,
    pub(crate) reversed: bool,
    paused: bool,
    look: Option<Look>,
}

impl View {
    pub(crate) fn new(path: String, sort: Column) -> Self {
        Self { path, sort, reversed: false, paused: false, look: None }
    }

    /// Takes a look to show, unless it is paused.
    pub(crate) fn see(&mut self, look: Look) {
        if !self.paused {
            self.look = Some(look);
        }
    }

    pub(crate) fn pause(&mut self) {
        self.paused = !self.paused;
    }

    pub(crate) fn draw(&mut self, buffer: &mut Buffer) {
        let area = buffer.area;
        let (bold, dim) =
            (Style::new().add_modifier(Modifier::BOLD), Style::new().add_modifier(Modifier::DIM));
        let mut put = |row: u16, column: u16, text: &str, style: Style| {
            if row < area.height && column < area.width {
                buffer.set_stringn(column, row, text, usize::from(area.width - column), style);
            }
        };
        put(0, 0, &plain(|shown| shown.put(format_args!("socket-ipc top {}", self.path))), bold);
        let end = area.height.saturating_sub(1);
        put(end, 0, "s sort   r reverse   p pause   q quit", dim);
        if self.paused {
            put(end, 40, " paused ", Style::new().add_modifier(Modifier::REVERSED));
        }
        let (sort, reversed) = (self.sort, self.reversed);
        let Some(look) = &mut self.look else {
            put(1, 0, "waiting for the first look", dim);
            return;
        };
        look.sort(sort, reversed);
        for (row, (text, style)) in (1..).zip(summary(look)) {
            put(row, 0, &text, style);
        }
        let arrow = |column| match (column == sort, reversed) {
            (false, _) => "",
            (true, false) => "▼",
            (true, true) => "▲",
        };
        let head = Style::new().add_modifier(Modifier::REVERSED);
        put(5, 0, &" ".repeat(area.width.into()), head);
        put(5, 0, &format!("topic{}", arrow(Column::Topic)), head);
        // As much is left for the topics as their columns do not take.
        let rates = RATE * COLUMNS.len() as u16;
        let names = area.width.saturating_sub(rates).max(RATE);
        for (place, (column, name)) in (0..).zip(COLUMNS) {
            let text = format!("{:>12}", format!("{name}{}", arrow(column)));
            put(5, names + place * RATE + 1, &text, head);
        }
        let room = usize::from(end.saturating_sub(6));
        for (row, topic) in (6..).zip(look.topics.iter().take(room)) {
            put(row, 0, &name(topic, names.saturating_sub(1)), Style::new().fg(Color::Cyan));
            let Row { received, sent, bytes, arrived, .. } = topic;
            for (place, rate) in (0..).zip([*received, *sent, *bytes, Some(*arrived)]) {
                let text = rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
                let style = if rate.is_some_and(|rate| rate > 0.0) { Style::new() } else { dim };
                put(row, names + place * RATE + 1, &format!("{text:>12}"), style);
            }
        }
        if look.topics.len() > room {
            let text = format!("{} more topics", look.topics.len() - room);
            put(end, area.width.saturating_sub(20), &text, dim);
        }
    }
}

/// The lines about the server as a whole.
fn summary(look: &Look) -> Vec<(String, Style)> {
    let plain = Style::new();
    let warning = Style::new().fg(Color::Red);
    if !look.up {
        return vec![("the server is gone; trying again".to_owned(), warning)];
    }
    if look.described && look.clients.is_none() {
        return vec![("the server does not reply; asking again".to_owned(), warning)];
    }
    let Look { clients: Some(clients), queued: Some(queued), slow_consumers: Some(slow), .. } = look else {
        let text = "the server does not describe itself: what reaches all its clients is shown, and no more";
        return vec![(text.to_owned(), plain)];
    };
    let or_zero = |number: Option<u64>| number.unwrap_or_default();
    let a_second = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    let (requests, streams) = (or_zero(look.requests_in_flight), or_zero(look.streams_in_flight));
    vec![
        (format!("{clients} clients, {requests} requests and {streams} streams in flight"), plain),
        (
            format!("{} messages a second received, {} sent", a_second(look.received), a_second(look.sent)),
            plain,
        ),
        (
            format!("{queued} bytes queued, {slow} slow consumers so far"),
            if *slow > 0 { warning } else { plain },
        ),
    ]
}

/// The name of a topic, escaped, and cut to a width.
fn name(row: &Row, width: u16) -> String {
    if row.topic.is_empty() {
        return "(others)".to_owned();
    }
    plain(|shown| shown.put_topic(&row.topic)).chars().take(width.into()).collect()
}

fn plain(put: impl FnOnce(&mut Shown)) -> String {
    let mut shown = Shown::new(false);
    put(&mut shown);
    shown.as_str().to_owned()
}
