//! `send`: a message, or one for each line of standard input.

use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{Client, ErrorReply, RawMessage, RequestError, SendError};
use tokio::sync::mpsc;

use crate::arguments::Send;
use crate::error_reply::{self, ERROR};
use crate::failure::{Failure, Status};
use crate::json::{self, Given};
use crate::output::{self, Reader};
use crate::progress::Progress;
use crate::reach::{self, Loss};
use crate::{description, lines, running, suggestion, unread_input};

pub(crate) fn run(arguments: Send) -> Result<(), Failure> {
    #[cfg(feature = "nats")]
    if arguments.nats.is_given() {
        return crate::nats_send::run(arguments);
    }
    let Send { server, topic, message, check, wait, timeout, pretty, patience, .. } = arguments;
    let message = unread_input::or_null(message)?;
    running::to_the_end(async move {
        let listens = check || wait.is_some();
        let reached = if listens {
            reach::client(&server, &patience)
        } else {
            reach::sending_client(&server, &patience)
        };
        let client = &reached.client;
        let mut loss = Loss::of(client);
        // Subscribed before anything is sent, because the reply may be quick.
        let mut awaited = wait.map(|topic| (receive(client, &topic), topic));
        client.connect().await?;
        let work = async {
            if check {
                has_topic(client, &topic, timeout).await?;
            }
            deliver(client, &mut loss, queue(client, &topic, message)).await?;
            if let Some((replies, awaited)) = &mut awaited {
                let message = match next(replies, &mut loss, awaited, timeout).await? {
                    Reply::Message(message) => message,
                    Reply::Error(reply) => {
                        return Err(Failure::from(RequestError::<ErrorReply>::Rejected { topic, reply }));
                    }
                };
                output::print(&Reader::find().json(message.as_str(), pretty))?;
            }
            Ok(())
        };
        reached.or_other_wire(work).await?;
        client.close().await;
        Ok(())
    })
}

/// Fails if the server, as it describes itself, does not take messages of the topic.
async fn has_topic(client: &Client, topic: &str, timeout: Duration) -> Result<(), Failure> {
    let described = description::read(&description::required(client, timeout).await?)?;
    match suggestion::not_taken(&described, topic) {
        Some(reason) => Err(Failure::new(Status::Rejected, reason)),
        None => Ok(()),
    }
}

async fn queue(client: &Client, topic: &str, message: Given) -> Result<(), Unsent> {
    match message {
        Given::Text(message) => Ok(client.send_raw_async(topic, &*message).await?),
        Given::Input => each_line(async |message| Ok(client.send_raw_async(topic, message).await?)).await,
    }
}

/// Queues all messages, and waits until they have been written.
pub(crate) async fn deliver(
    client: &Client,
    loss: &mut Loss,
    queueing: impl Future<Output = Result<(), Unsent>>,
) -> Result<(), Failure> {
    let queued = tokio::select! {
        biased;
        queued = queueing => queued,
        // The connection may end while standard input is idle.
        failure = loss.failure() => return Err(failure),
    };
    // The lines before a wrong one are sent, too.
    let flushed = client.flush().await.is_ok();
    match queued {
        Err(Unsent::Failed(failure)) => Err(failure),
        Err(Unsent::Lost) => Err(loss.failure().await),
        // A server may close as soon as it has read everything.
        Ok(()) if flushed || loss.reason().await.unsent_bytes == 0 => Ok(()),
        Ok(()) => Err(loss.failure().await),
    }
}

/// Sends each line of standard input, which is JSON. The progress through a file is shown on a terminal.
pub(crate) async fn each_line<E: From<Failure>>(
    mut send: impl AsyncFnMut(&RawValue) -> Result<(), E>,
) -> Result<(), E> {
    let (mut lines, progress) = (lines::lines(), Progress::of_input());
    let (mut bytes, mut messages) = (0, 0);
    while let Some(line) = lines.recv().await {
        let line = line?;
        let message: Box<RawValue> = json::parse(&line.text).map_err(|reason| {
            Failure::other(format!("line {} of standard input: expected JSON: {reason}", line.number))
        })?;
        send(&message).await?;
        (bytes, messages) = (bytes + line.text.len() as u64, messages + 1);
        progress.reached(bytes, messages);
    }
    progress.finish(messages);
    Ok(())
}

/// Why a message was not queued.
pub(crate) enum Unsent {
    /// The connection has ended; its end says why.
    Lost,
    Failed(Failure),
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<SendError> for Unsent {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotConnected { .. } => Self::Lost,
            error => Self::Failed(error.into()),
        }
    }
}

/// What comes back after a message.
enum Reply {
    Message(RawMessage<'static>),
    Error(ErrorReply),
}

/// The first message of a topic, or the first error reply.
fn receive(client: &Client, topic: &str) -> mpsc::Receiver<Reply> {
    let (sender, replies) = mpsc::channel(1);
    let errors = sender.clone();
    client.on_topic(topic, move |message| drop(sender.try_send(Reply::Message(message.into_owned()))));
    if topic != ERROR {
        client.on_topic(ERROR, move |message| {
            if let Some(reply) = error_reply::read(&message) {
                drop(errors.try_send(Reply::Error(reply)));
            }
        });
    }
    replies
}

async fn next(
    replies: &mut mpsc::Receiver<Reply>,
    loss: &mut Loss,
    topic: &str,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let none = || Failure::new(Status::Deadline, format!("no message of `{topic}` came within {timeout:?}"));
    tokio::select! {
        // The message is checked first: a server may send it and close at once.
        biased;
        reply = replies.recv() => reply.ok_or_else(none),
        failure = loss.failure() => Err(failure),
        () = tokio::time::sleep(timeout) => Err(none()),
    }
}
