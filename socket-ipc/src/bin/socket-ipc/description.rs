//! Requesting the description of a server.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use socket_ipc::description::{DESCRIBE, STATS};
use socket_ipc::{Client, Description, RawMessage, ReplyFuture, RequestError};

use crate::arguments::{Patience, Place};
use crate::failure::{self, Failure};
use crate::{reach, running};

/// Whether a topic is one of the library's own, under which a server describes itself.
pub(crate) fn is_about_the_server(topic: &str) -> bool {
    [DESCRIBE, STATS].contains(&topic)
}

/// Connects to a server and returns its description. A server without one is a failure.
pub(crate) fn of(
    server: &Place,
    patience: &Patience,
    timeout: Duration,
) -> Result<RawMessage<'static>, Failure> {
    running::to_the_end(async move {
        let reached = reach::client(server, patience);
        reached.client.connect().await?;
        let reply = reached.or_other_wire(required(&reached.client, timeout)).await?;
        reached.client.close().await;
        Ok(reply)
    })
}

/// The description of a server. One without is a failure.
pub(crate) async fn required(client: &Client, timeout: Duration) -> Result<RawMessage<'static>, Failure> {
    describe(client, timeout)
        .await
        .map_err(|error| Failure::new(failure::status_of(&error), no_description(&error)))
}

/// The reply to a raw request.
pub(crate) type RawReply = ReplyFuture<RawMessage<'static>, RawMessage<'static>>;

pub(crate) fn describe(client: &Client, timeout: Duration) -> RawReply {
    client.request_raw(DESCRIBE, &()).timeout(timeout)
}

pub(crate) fn stats(client: &Client, timeout: Duration) -> RawReply {
    client.request_raw(STATS, &()).timeout(timeout)
}

/// Reads a description.
pub(crate) fn read(reply: &RawMessage<'_>) -> Result<Description, Failure> {
    reply.decode().map_err(|error| unreadable(&error))
}

/// Every topic as the server wrote it. A later version may write more fields than this one knows.
pub(crate) fn topics_as_written(reply: &RawMessage<'_>) -> Result<Vec<Box<RawValue>>, Failure> {
    #[derive(Deserialize)]
    struct Topics {
        topics: Vec<Box<RawValue>>,
    }

    let Topics { topics } = reply.decode().map_err(|error| unreadable(&error))?;
    Ok(topics)
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::other(format!("the reply of the server to `{DESCRIBE}` is no description: {error}"))
}

/// Why a server does not say what it is.
pub(crate) fn no_description<E>(error: &RequestError<E>) -> String {
    match error {
        RequestError::NoResponder { .. } => {
            format!("the server does not describe itself: it has no responder for `{DESCRIBE}`")
        }
        RequestError::Timeout { timeout, .. } => {
            format!("the server does not describe itself: no reply to `{DESCRIBE}` came within {timeout:?}")
        }
        other => format!("the server did not describe itself: {other}"),
    }
}
