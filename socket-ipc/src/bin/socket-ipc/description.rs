//! What a server says of itself when it is asked.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use socket_ipc::{Answer, Client, RawMessage, RequestError};

use crate::arguments::{Patience, Place};
use crate::failure::Failure;
use crate::reach;

const DESCRIBE: &str = "socket-ipc.describe";
const STATS: &str = "socket-ipc.stats";

/// What a server speaks. What later versions add is left aside; what earlier ones lack, too.
#[derive(Debug, Deserialize)]
pub(crate) struct Description {
    pub(crate) version: String,
    pub(crate) protocol: Option<String>,
    /// Each as it was written, so that whatever is known of a topic is passed on.
    #[serde(default)]
    topics: Vec<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Topic {
    pub(crate) topic: String,
    pub(crate) direction: Direction,
    pub(crate) reply: Option<String>,
    pub(crate) schema: Option<Value>,
    pub(crate) reply_schema: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

impl Description {
    /// Reads it out of an answer.
    pub(crate) fn read(answer: &RawMessage<'_>) -> Result<Self, Failure> {
        answer.decode().map_err(|error| unreadable(&error))
    }

    /// Every topic, as it was written and as it is understood.
    pub(crate) fn topics(&self) -> Result<Vec<(&str, Topic)>, Failure> {
        let read = |raw: &'_ RawValue| serde_json::from_str(raw.get()).map_err(|error| unreadable(&error));
        self.topics.iter().map(|raw| Ok((raw.get(), read(raw)?))).collect()
    }
}

fn unreadable(error: &serde_json::Error) -> Failure {
    Failure::other(format!(
        "the server answered `{DESCRIBE}` with something else than a description: {error}"
    ))
}

/// Connects, and asks a server that has to answer.
pub(crate) async fn of(
    server: &Place,
    patience: &Patience,
    timeout: Duration,
) -> Result<Description, Failure> {
    let client = reach::client(server, patience);
    client.connect().await?;
    let answer = describe(&client, timeout).await.map_err(|error| {
        let why = unanswered(&error);
        let failure = Failure::from(error);
        Failure::new(failure.status(), why)
    })?;
    client.close().await;
    Description::read(&answer)
}

pub(crate) fn describe(client: &Client, timeout: Duration) -> Answer<RawMessage<'static>> {
    client.request_raw(DESCRIBE, &()).within(timeout)
}

pub(crate) fn stats(client: &Client, timeout: Duration) -> Answer<RawMessage<'static>> {
    client.request_raw(STATS, &()).within(timeout)
}

/// Why a server does not say what it is.
pub(crate) fn unanswered(error: &RequestError) -> String {
    match error {
        RequestError::NoResponder { .. } => {
            format!("the server does not describe itself: nobody there responds to `{DESCRIBE}`")
        }
        RequestError::Timeout { timeout, .. } => {
            format!("the server does not describe itself: no answer to `{DESCRIBE}` came within {timeout:?}")
        }
        other => format!("the server did not describe itself: {other}"),
    }
}
