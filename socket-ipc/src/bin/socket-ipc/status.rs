//! `status`: whether a server is alive, and which user runs it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use socket_ipc::{Client, RawMessage, RequestError, Stats, TopicTraffic, Traffic};

use crate::arguments::Status;
use crate::failure::{self, Failure, say};
use crate::output::{self, Reader};
use crate::paint::{self, Shown};
use crate::peer::Peer;
use crate::rates::Rates;
use crate::reach::{self, Loss};
use crate::{description, running};

pub(crate) fn run(arguments: Status) -> Result<(), Failure> {
    let Status { server, timeout, interval, patience } = arguments;
    running::to_the_end(async move {
        let reached = reach::client(&server, &patience);
        let client = &reached.client;
        let mut loss = Loss::of(client);
        client.connect().await?;
        let looking = async {
            // Both requests run at once: a server that does not reply to one does not reply to the other.
            let (description, stats) =
                (description::describe(client, timeout), description::stats(client, timeout));
            let (description, stats) = (description.await, stats.await);
            let (description, stats) = (unless_gone(description)?, unless_gone(stats)?.ok());
            let rates = match stats.as_ref().map(RawMessage::decode::<Stats>) {
                Some(Ok(before)) => look_again(client, &mut loss, &before, interval, timeout).await?,
                _ => None,
            };
            Ok((description, stats, rates))
        };
        let (description, stats, rates) = reached.or_other_wire(looking).await?;
        let description = description.map_err(|error| say(description::no_description(&error))).ok();
        client.close().await;
        let report = Report {
            path: server.path.display().to_string(),
            alive: true,
            peer: reached.peer.get().cloned(),
            description: raw(description.as_ref()),
            stats: stats.as_ref().and_then(without_itself),
            rates,
        };
        output::print(&Reader::find().report(&report, |_| for_people(&report, description.as_ref())))
    })
}

/// The report about a server that is alive. Its shape is documented in the help of `status`.
#[derive(Serialize)]
struct Report {
    path: String,
    alive: bool,
    #[serde(flatten)]
    peer: Option<Peer>,
    description: Option<Box<RawValue>>,
    stats: Option<Box<RawValue>>,
    rates: Option<Rates>,
}

type Reply = Result<RawMessage<'static>, RequestError<RawMessage<'static>>>;

/// Fails if the server has gone: it is not alive any more.
fn unless_gone(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Err(error) if failure::status_of(&error) == failure::Status::NoConnection => Err(error.into()),
        reply => Ok(reply),
    }
}

/// Requests the stats again after a while; `None` if the server does not reply any more. Fails if it goes meanwhile.
async fn look_again(
    client: &Client,
    loss: &mut Loss,
    before: &Stats,
    interval: Duration,
    timeout: Duration,
) -> Result<Option<Rates>, Failure> {
    let started = Instant::now();
    let looking = async {
        tokio::time::sleep(interval).await;
        description::stats(client, timeout).await
    };
    let after = tokio::select! {
        failure = loss.failure() => return Err(failure),
        after = looking => unless_gone(after)?,
    };
    let after = after.ok().and_then(|after| after.decode().ok());
    Ok(after.map(|after| Rates::between(before, &after, started.elapsed())))
}

/// A message as it arrived, in one line.
fn raw(message: Option<&RawMessage<'_>>) -> Option<Box<RawValue>> {
    RawValue::from_string(paint::json_line(message?.as_str())).ok()
}

/// The fields of an object, as they arrived.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Stats as they arrived, in one line, without the connection of this command, and without the messages that are about
/// the server itself.
fn without_itself(stats: &RawMessage<'_>) -> Option<Box<RawValue>> {
    let mut fields: Fields = stats.decode().ok()?;
    for name in ["open_connections", "total_connections"] {
        subtract(&mut fields, name, 1);
    }
    if let Some(topics) = fields.get_mut("topics") {
        let rows: Vec<Box<RawValue>> = serde_json::from_str(topics.get()).ok()?;
        let mut own = Vec::new();
        let others: Vec<_> = rows
            .into_iter()
            .filter(|row| match serde_json::from_str::<TopicTraffic>(row.get()) {
                Ok(row) if description::is_about_the_server(&row.topic) => {
                    own.push(row);
                    false
                }
                _ => true,
            })
            .collect();
        *topics = to_raw_value(&others).ok()?;
        for TopicTraffic { received, sent, .. } in own {
            subtract_traffic(&mut fields, "received", received);
            subtract_traffic(&mut fields, "sent", sent);
        }
    }
    let text = serde_json::to_string(&fields).ok()?;
    RawValue::from_string(paint::json_line(&text)).ok()
}

fn subtract_traffic(fields: &mut Fields, name: &str, own: Traffic) {
    let Some(total) = fields.get_mut(name) else { return };
    let Ok(mut counts) = serde_json::from_str::<Fields>(total.get()) else { return };
    subtract(&mut counts, "messages", own.messages);
    subtract(&mut counts, "bytes", own.bytes);
    if let Ok(counts) = to_raw_value(&counts) {
        *total = counts;
    }
}

fn subtract(fields: &mut Fields, name: &str, own: u64) {
    let Some(count) = fields.get_mut(name) else { return };
    if let Ok(number) = count.get().parse::<u64>()
        && let Ok(others) = to_raw_value(&number.saturating_sub(own))
    {
        *count = others;
    }
}

fn for_people(report: &Report, description: Option<&RawMessage<'_>>) -> Shown {
    let mut lines = Shown::new(false);
    lines.put(format_args!("{} is alive", report.path));
    if let Some(peer) = &report.peer {
        lines.put(format_args!(", {peer}"));
    }
    lines.end_line();
    if let Some(Ok(description)) = description.map(description::read) {
        lines.put(format_args!("socket-ipc {}", description.version));
        if let Some(protocol) = &description.protocol {
            lines.put(format_args!(", protocol {protocol}"));
        }
        lines.put(format_args!(", {} topics", description.topics.len()));
        lines.end_line();
    }
    let stats = report.stats.as_ref().map(|stats| serde_json::from_str::<Stats>(stats.get()));
    if let Some(Ok(stats)) = stats {
        put_stats(&mut lines, &stats, report.rates.as_ref());
    }
    lines
}

fn put_stats(lines: &mut Shown, stats: &Stats, rates: Option<&Rates>) {
    let mut line = |text: std::fmt::Arguments<'_>| {
        lines.put(text);
        lines.end_line();
    };
    let a_second = |rate: fn(&Rates) -> f64| {
        rates.map_or_else(String::new, |rates| format!(" ({} a second)", rate(rates)))
    };
    line(format_args!(
        "clients: {} now, {} in all, {} disconnected as slow consumers",
        stats.open_connections, stats.total_connections, stats.slow_consumers,
    ));
    line(format_args!(
        "messages: {} received{}, {} sent{}",
        stats.received.messages,
        a_second(|rates| rates.received),
        stats.sent.messages,
        a_second(|rates| rates.sent),
    ));
    line(format_args!(
        "in flight: {} requests, {} streams",
        stats.requests_in_flight, stats.streams_in_flight
    ));
    if stats.groups > 0 {
        line(format_args!("groups: {}, with {} members", stats.groups, stats.group_members));
    }
    for group in &stats.largest_groups {
        line(format_args!("  {}: {} members", group.name, group.members));
    }
    line(format_args!("queued: {} bytes now, {} at most", stats.outbox_len, stats.outbox_peak));
}
