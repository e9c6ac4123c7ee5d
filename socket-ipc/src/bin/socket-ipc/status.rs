//! `status`: whether a server is alive, and who runs it.

use serde::Serialize;
use serde_json::value::RawValue;
use socket_ipc::{RawMessage, Stats};

use crate::arguments::Status;
use crate::failure::{Failure, say};
use crate::output::{self, Reader};
use crate::peer::Peer;
use crate::{description, paint, reach, running};

pub(crate) fn run(arguments: Status) -> Result<(), Failure> {
    let Status { server, timeout, patience } = arguments;
    running::to_the_end(async move {
        let (client, peer) = reach::client_that_asks_who(&server, &patience);
        client.connect().await?;
        // Both at once: one that is silent is silent for both.
        let (description, stats) =
            (description::describe(&client, timeout), description::stats(&client, timeout));
        let description = description.await.map_err(|error| say(description::unanswered(&error))).ok();
        let stats = stats.await.ok();
        client.close().await;
        let report = Report {
            path: server.path.display().to_string(),
            alive: true,
            peer: peer.get().cloned(),
            description: raw(description.as_ref()),
            stats: raw(stats.as_ref()),
        };
        output::print(&match Reader::find() {
            Reader::Program => serde_json::to_string(&report).unwrap_or_default() + "\n",
            Reader::Person { .. } => for_people(&report, description.as_ref(), stats.as_ref()),
        })
    })
}

/// What is known of a server that is alive. The shape is documented in the help of `status`.
#[derive(Serialize)]
struct Report {
    path: String,
    alive: bool,
    #[serde(flatten)]
    peer: Option<Peer>,
    description: Option<Box<RawValue>>,
    stats: Option<Box<RawValue>>,
}

/// A message as it arrived, in one line.
fn raw(message: Option<&RawMessage<'_>>) -> Option<Box<RawValue>> {
    RawValue::from_string(paint::json_line(message?.as_str())).ok()
}

fn for_people(
    report: &Report,
    description: Option<&RawMessage<'_>>,
    stats: Option<&RawMessage<'_>>,
) -> String {
    let by = report.peer.as_ref().map_or_else(String::new, |peer| format!(", {peer}"));
    let mut text = format!("{} is alive{by}\n", report.path);
    if let Some(Ok(description)) = description.map(description::read) {
        let protocol =
            description.protocol.as_deref().map(|name| format!(", protocol {}", paint::one_line(name)));
        let topics = description.topics.len();
        let (version, protocol) = (paint::one_line(&description.version), protocol.unwrap_or_default());
        text += &format!("socket-ipc {version}{protocol}, {topics} topics\n");
    }
    if let Some(Ok(stats)) = stats.map(RawMessage::decode::<Stats>) {
        let Stats { connected, connections, received, sent, .. } = stats;
        text += &format!(
            "clients: {connected} now, {connections} in all; messages: {} received, {} sent\n",
            received.messages, sent.messages
        );
    }
    text
}
