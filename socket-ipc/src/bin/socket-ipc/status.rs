//! `status`: whether a server is alive, and which user runs it.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::value::RawValue;
use socket_ipc::{Client, RawMessage, Stats};

use crate::arguments::Status;
use crate::failure::{Failure, say};
use crate::output::{self, Output, Reader};
use crate::paint::{self, Shown};
use crate::peer::Peer;
use crate::rates::Rates;
use crate::{description, reach, running};

pub(crate) fn run(arguments: Status) -> Result<(), Failure> {
    let Status { server, timeout, interval, patience } = arguments;
    running::to_the_end(async move {
        let (client, peer) = reach::client_and_peer(&server, &patience);
        client.connect().await?;
        // Both requests run at once: a server that does not reply to one does not reply to the other.
        let (description, stats) =
            (description::describe(&client, timeout), description::stats(&client, timeout));
        let description = description.await.map_err(|error| say(description::no_description(&error))).ok();
        let stats = stats.await.ok();
        let rates = match stats.as_ref().map(RawMessage::decode::<Stats>) {
            Some(Ok(before)) => rates(&client, &before, interval, timeout).await,
            _ => None,
        };
        client.close().await;
        let report = Report {
            path: server.path.display().to_string(),
            alive: true,
            peer: peer.get().cloned(),
            description: raw(description.as_ref()),
            stats: raw(stats.as_ref()),
            rates,
        };
        output::print(&match Reader::find() {
            Reader::Program => Output::ForPrograms(serde_json::to_string(&report).unwrap_or_default() + "\n"),
            Reader::Person { .. } => {
                Output::ForPeople(for_people(&report, description.as_ref(), stats.as_ref()))
            }
        })
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

/// Requests the stats again after a while; `None` if the server does not reply any more.
async fn rates(client: &Client, before: &Stats, interval: Duration, timeout: Duration) -> Option<Rates> {
    let started = Instant::now();
    tokio::time::sleep(interval).await;
    let after = description::stats(client, timeout).await.ok()?;
    Some(Rates::between(before, &after.decode().ok()?, started.elapsed()))
}

/// A message as it arrived, in one line.
fn raw(message: Option<&RawMessage<'_>>) -> Option<Box<RawValue>> {
    RawValue::from_string(paint::json_line(message?.as_str())).ok()
}

fn for_people(
    report: &Report,
    description: Option<&RawMessage<'_>>,
    stats: Option<&RawMessage<'_>>,
) -> Shown {
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
    if let Some(Ok(stats)) = stats.map(RawMessage::decode::<Stats>) {
        let Stats { open_connections, total_connections, received, sent, outbox_len, outbox_peak, .. } =
            stats;
        let a_second = |rate: fn(&Rates) -> f64| {
            report.rates.as_ref().map_or_else(String::new, |rates| format!(" ({} a second)", rate(rates)))
        };
        lines.put(format_args!("clients: {open_connections} now, {total_connections} in all"));
        lines.end_line();
        lines.put(format_args!(
            "messages: {} received{}, {} sent{}",
            received.messages,
            a_second(|rates| rates.received),
            sent.messages,
            a_second(|rates| rates.sent),
        ));
        lines.end_line();
        lines.put(format_args!("queued: {outbox_len} bytes now, {outbox_peak} at most"));
        lines.end_line();
    }
    lines
}
