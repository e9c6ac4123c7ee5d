//! `send`: a message, or one for each line of standard input.

use std::time::Duration;

use serde_json::value::RawValue;
use socket_ipc::{Client, RawMessage, SendError};
use tokio::sync::mpsc;

use crate::arguments::Send;
use crate::failure::{Failure, Status};
use crate::json::{self, Given};
use crate::output::{self, Reader};
use crate::reach::{self, Loss};
use crate::{lines, running};

pub(crate) fn run(arguments: Send) -> Result<(), Failure> {
    #[cfg(feature = "nats")]
    if arguments.nats.is_given() {
        return crate::nats_send::run(arguments);
    }
    running::to_the_end(async move {
        let client = reach::client(&arguments.server, &arguments.patience);
        let mut loss = Loss::of(&client);
        // Subscribed before anything is sent, because the reply may be quick.
        let mut awaited = arguments.wait.map(|topic| (receive(&client, &topic), topic));
        client.connect().await?;
        write(&client, &mut loss, &arguments.topic, arguments.message).await?;
        if let Some((message, topic)) = &mut awaited {
            let message = next(message, &mut loss, topic, arguments.timeout).await?;
            output::print(&Reader::find().json(message.as_str()))?;
        }
        client.close().await;
        Ok(())
    })
}

/// Sends all messages, and waits until they have been written.
async fn write(client: &Client, loss: &mut Loss, topic: &str, message: Given) -> Result<(), Failure> {
    let queueing = async {
        match message {
            Given::Text(message) => Ok(client.send_raw_async(topic, &*message).await?),
            Given::Input => queue_lines(client, topic).await,
        }
    };
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

async fn queue_lines(client: &Client, topic: &str) -> Result<(), Unsent> {
    let mut lines = lines::lines();
    while let Some(line) = lines.recv().await {
        let line = line?;
        let message: Box<RawValue> = json::parse(&line.text).map_err(|reason| {
            Failure::other(format!("line {} of standard input: expected JSON: {reason}", line.number))
        })?;
        client.send_raw_async(topic, &*message).await?;
    }
    Ok(())
}

/// Why a message was not queued.
enum Unsent {
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

/// The first message of a topic.
fn receive(client: &Client, topic: &str) -> mpsc::Receiver<RawMessage<'static>> {
    let (sender, messages) = mpsc::channel(1);
    client.on_topic(topic, move |message| drop(sender.try_send(message.into_owned())));
    messages
}

async fn next(
    messages: &mut mpsc::Receiver<RawMessage<'static>>,
    loss: &mut Loss,
    topic: &str,
    timeout: Duration,
) -> Result<RawMessage<'static>, Failure> {
    let none = || Failure::new(Status::Deadline, format!("no message of `{topic}` came within {timeout:?}"));
    tokio::select! {
        // The message is checked first: a server may send it and close at once.
        biased;
        message = messages.recv() => message.ok_or_else(none),
        failure = loss.failure() => Err(failure),
        () = tokio::time::sleep(timeout) => Err(none()),
    }
}
