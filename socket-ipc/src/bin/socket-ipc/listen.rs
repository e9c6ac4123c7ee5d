//! `listen`: every message of a server, as a line.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::value::RawValue;
use socket_ipc::{Client, CloseCause, RawMessage, SendError};
use tokio::sync::mpsc;

use crate::arguments::Listen;
use crate::error_reply::{self, ERROR};
use crate::failure::{Failure, Status, say};
use crate::json::Envelope;
use crate::output::Printer;
use crate::{reach, running};

pub(crate) fn run(arguments: Listen) -> Result<(), Failure> {
    #[cfg(feature = "nats")]
    if arguments.nats.is_given() {
        return crate::nats_listen::run(arguments);
    }
    if let Some(group) = &arguments.group {
        return Err(of_a_group(group));
    }
    let (printer, broken) = Printer::new();
    let printer = printer.pretty(arguments.pretty);
    let reached = reach::lasting_client(&arguments.server)?;
    let client = &reached.client;
    let topics = arguments.topics;
    if !arguments.send.is_empty() && !topics.is_empty() && !topics.iter().any(|topic| topic == ERROR) {
        client.on_topic(ERROR, |message| {
            if let Some(reply) = error_reply::read(&message) {
                say(format_args!("the server replied with an error: {}", error_reply::shown(&reply)));
            }
        });
    }
    on_topics(client, topics, move |topic, message| printer.message(None, topic, message));
    let mut unsent = send_on_connect(client, arguments.send);
    say_what_happens(client, arguments.server.path.display().to_string());
    let work = async move {
        let listening = async {
            reached.client.connect().await?;
            tokio::select! {
                () = reached.client.closed() => Ok(()),
                Some(failure) = unsent.recv() => Err(failure),
            }
        };
        reached.or_other_wire(listening).await
    };
    // Nothing is queued, so the connection may end with this process.
    running::until_told(work, broken, async {})
}

/// Calls a listener for each message of these topics; of all, where there are none.
pub(crate) fn on_topics(
    client: &Client,
    topics: Vec<String>,
    listener: impl Fn(&str, &RawMessage<'_>) + Send + Sync + 'static,
) {
    if topics.is_empty() {
        client.on_message(move |message, topic| listener(topic, &message));
        return;
    }
    let listener = Arc::new(listener);
    // For a topic that is given twice it is called once.
    for topic in BTreeSet::from_iter(topics) {
        let listener = Arc::clone(&listener);
        client.on_topic(&topic.clone(), move |message| listener(&topic, &message));
    }
}

/// Over a socket the server decides who is in a group.
fn of_a_group(group: &str) -> Failure {
    Failure::new(
        Status::Usage,
        format!(
            "--group '{group}' is for --nats: over a socket the server decides who is in a group. Send it what it takes \
             for that on every connection, such as --send 'enter {{\"room\":5}}'; `socket-ipc topics` lists its topics"
        ),
    )
}

/// Sends the messages over each connection, before anything else. Returns the receiver of what can't be sent.
fn send_on_connect(client: &Client, messages: Vec<Envelope>) -> mpsc::Receiver<Failure> {
    let (sender, unsent) = mpsc::channel(1);
    let handle = client.handle();
    client.on_connect(move || {
        for Envelope { topic, message } in &messages {
            match handle.send_raw::<RawValue>(topic, message) {
                Ok(()) => {}
                // They are sent over the next connection.
                Err(SendError::NotConnected { .. }) => return,
                // The first failure ends the command, so further ones are dropped.
                Err(error) => drop(sender.try_send(error.into())),
            }
        }
    });
    unsent
}

pub(crate) fn say_what_happens(client: &Client, path: String) {
    let again = path.clone();
    client.on_connect({
        let first = std::sync::Once::new();
        move || first.call_once(|| say(format_args!("connected to {path}")))
    });
    client.on_reconnect(move || say(format_args!("connected to {again} again")));
    say_losses(client);
}

/// Reports on standard error each time that the connection is lost.
pub(crate) fn say_losses(client: &Client) {
    client.on_disconnect(|reason| {
        // Otherwise the command is ending.
        if !matches!(reason.cause, CloseCause::Closed) {
            say(format_args!("lost the server: {reason}; trying again"));
        }
    });
}
