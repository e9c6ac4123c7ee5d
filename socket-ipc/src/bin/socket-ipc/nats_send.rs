//! `send --nats`: messages to a node of a domain that offers their topic.

use std::time::Duration;

use socket_ipc::RawMessage;
use socket_ipc::cluster::visitor::{Broadcasts, Received};

use crate::arguments::Send;
use crate::failure::{Failure, Status, say};
use crate::json::Given;
use crate::nats::Domain;
use crate::output::{self, Reader};
use crate::{running, send, unread_input};

pub(crate) fn run(arguments: Send) -> Result<(), Failure> {
    let Send { server, topic, message, check, wait, timeout, pretty, patience, nats } = arguments;
    if check {
        let text = "--check is for sockets: over NATS, `send` itself says where no server offers the topic";
        return Err(Failure::new(Status::Usage, text));
    }
    let message = unread_input::or_null(message)?;
    let domain = Domain::of(&server, &nats, patience.connect_timeout, patience.retry)?;
    running::to_the_end(async move {
        let visitor = domain.connect().await?;
        // Subscribed before anything is sent, because the broadcast may come soon.
        let mut awaited = match &wait {
            Some(topic) => Some((visitor.broadcasts(Some(topic)).await?, topic)),
            None => None,
        };
        let mut sending = visitor.sending(&topic).await?;
        match message {
            Given::Text(message) => sending.send(&message).await?,
            Given::Input => {
                send::each_line::<Failure>(async |message| Ok(sending.send(message).await?)).await?
            }
        }
        match &mut awaited {
            Some((broadcasts, topic)) => {
                let message = next(broadcasts, topic, timeout).await?;
                output::print(&Reader::find().json(message.as_str(), pretty))
            }
            None => Ok(()),
        }
    })
}

/// The first broadcast of the topic.
async fn next(
    broadcasts: &mut Broadcasts<'_>,
    topic: &str,
    timeout: Duration,
) -> Result<RawMessage<'static>, Failure> {
    let waiting = async {
        loop {
            match broadcasts.next().await? {
                Received::Broadcast { message, .. } => return Ok(message),
                Received::Refused { subject, reason } => {
                    say(format_args!("skipped what came under {subject}: {reason}"));
                }
                Received::LinkDown => return Err(Failure::new(Status::NoConnection, "lost the NATS server")),
                _ => {}
            }
        }
    };
    let none = || Failure::new(Status::Deadline, format!("no message of `{topic}` came within {timeout:?}"));
    tokio::time::timeout(timeout, waiting).await.unwrap_or_else(|_| Err(none()))
}
