//! What the server and its clients say to each other.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socket_ipc::{Protocol, Topic};

#[derive(Protocol)]
#[protocol(
    to_server(
        Number,
        Counted,
        Burst,
        Add,
        AskBack,
        Announce,
        Submit,
        Divide,
        Nobody,
        Panics,
        Hang,
        Dropped,
        TryClient,
        CancelClient,
        Big,
        Echo,
        Values,
        LoneSurrogate,
        Digits,
        Integer,
        Numbers,
        Progress,
        Endless
    ),
    to_client(Tick, News, Text, Double, ClientSubmit, Wait)
)]
pub(crate) struct Suite;

/// One of many messages. The server counts them, and checks their order.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "number"]
pub(crate) struct Number {
    pub(crate) n: u64,
}

/// What has arrived of this client's numbers.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "counted", reply = Count)]
pub(crate) struct Counted;

/// Messages that have arrived.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) in_order: bool,
}

/// Requests this many ticks. The reply comes after them.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "burst", reply = u64)]
pub(crate) struct Burst {
    pub(crate) count: u64,
}

/// Adds two numbers.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "add", reply = i32, reply_topic = "sum")]
pub(crate) struct Add {
    pub(crate) left: i32,
    pub(crate) right: i32,
}

/// Has the server request `double` of this client, this many times at once. The reply is the sum.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "ask back", reply = u32)]
pub(crate) struct AskBack {
    pub(crate) count: u32,
}

/// Has the server broadcast `news`.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "announce", reply = ())]
pub(crate) struct Announce {
    pub(crate) text: String,
}

/// Submits a job; every command but `bake` finds the queue full.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "submit", reply = Submitted, error = SubmitError)]
pub(crate) struct Submit {
    pub(crate) command: String,
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub(crate) struct Submitted {
    pub(crate) id: u32,
}

#[derive(JsonSchema, Serialize, Deserialize, Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error("the queue holds {max} jobs")]
    QueueFull { max: u32 },
}

/// A request whose errors have a code and a text.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "divide", reply = i32)]
pub(crate) struct Divide {
    pub(crate) dividend: i32,
    pub(crate) divisor: i32,
}

/// A request without a responder.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "nobody", reply = ())]
pub(crate) struct Nobody;

/// A request whose responder panics.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "panics", reply = ())]
pub(crate) struct Panics;

/// A request without an end. The server remembers the key when its responder is dropped.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "hang", reply = ())]
pub(crate) struct Hang {
    pub(crate) key: String,
}

/// Waits until the responder with this key has been dropped.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "dropped", reply = ())]
pub(crate) struct Dropped {
    pub(crate) key: String,
}

/// Has the server request `client submit` of this client. The reply is what came of it.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "try client", reply = Outcome)]
pub(crate) struct TryClient;

/// What came of a request of the server.
#[derive(JsonSchema, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Replied { id: u32 },
    Failed { error: SubmitError, text: String },
    NoResponder,
    Other { text: String },
}

/// Has the server request `wait` of this client, and give up.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "cancel client", reply = ())]
pub(crate) struct CancelClient;

/// A message of any length, which comes back.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "big", reply = String)]
pub(crate) struct Big {
    pub(crate) text: String,
}

/// Any value, which comes back.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "echo", reply = Value)]
pub(crate) struct Echo {
    pub(crate) value: Value,
}

/// The values of `values.json`, by a name.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "values", reply = BTreeMap<String, Value>)]
pub(crate) struct Values;

/// Has the server send a `text` with a lone surrogate to this client.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "lone surrogate", reply = ())]
pub(crate) struct LoneSurrogate;

/// The digits of an integer, as the server has read it.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "digits", reply = String)]
pub(crate) struct Digits {
    pub(crate) integer: i128,
}

/// The integer with these digits.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "integer", reply = i128)]
pub(crate) struct Integer {
    pub(crate) digits: String,
}

/// The stream of the numbers from 0 on. It ends, or fails, after `count` of them.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "numbers", stream = Number, error = NumbersError)]
pub(crate) struct Numbers {
    /// What `progress` calls it.
    pub(crate) key: String,
    pub(crate) count: u32,
    /// Whether it fails at the end.
    #[serde(default)]
    pub(crate) fails: bool,
}

#[derive(JsonSchema, Serialize, Deserialize, Debug, thiserror::Error)]
pub(crate) enum NumbersError {
    #[error("stopped at {at}")]
    Stopped { at: u32 },
}

/// How many numbers the stream with this key has made.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "progress", reply = u32)]
pub(crate) struct Progress {
    pub(crate) key: String,
}

/// A stream of one item and no end. The server remembers the key when it is dropped.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "endless", stream = String)]
pub(crate) struct Endless {
    pub(crate) key: String,
}

/// One of many messages to a client.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "tick"]
pub(crate) struct Tick {
    pub(crate) n: u32,
}

/// What all clients get.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "news"]
pub(crate) struct News {
    pub(crate) text: String,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "text"]
pub(crate) struct Text(pub(crate) String);

/// A request to a client.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "double", reply = u32, reply_topic = "doubled")]
pub(crate) struct Double {
    pub(crate) n: u32,
}

/// A request to a client that fails with a typed error.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "client submit", reply = Submitted, error = SubmitError)]
pub(crate) struct ClientSubmit {
    pub(crate) command: String,
}

/// A request to a client that the server gives up.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
pub(crate) struct Wait;
