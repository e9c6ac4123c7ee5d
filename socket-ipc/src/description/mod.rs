//! How does a server describe itself?
//!
//! A server that is built with [`describe`](crate::ServerBuilder::describe) replies to the request
//! [`socket-ipc.describe`](DESCRIBE) with a [`Description`]. It holds the version of the library, the protocol, the
//! limits, the wire, and every topic with its direction and the topic of its replies. Without that option there is no
//! responder, and the request fails at once. The book has [protocols](crate::guide::protocols), and what programs in
//! [other languages](crate::guide::languages) make of a description.
//!
//! # How is it requested?
//!
//! A client calls [`describe_server`](crate::ClientHandle::describe_server). A program in another language sends the
//! request like any other; the message is ignored. The reply to a request with an id repeats the id. A request without
//! an id, as the Node library sends it, gets a message under the same topic.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::description::Direction;
//! use socket_ipc::{Protocol, Topic};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello { name: String }
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "greeting"]
//! struct Greeting { text: String }
//!
//! #[derive(Protocol)]
//! #[protocol(to_server(Hello), to_client(Greeting))]
//! struct Chat;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("socket-ipc-describe-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("myApp.sock");
//! let server = Chat::server(&path).describe().build();
//! server.listen().await?;
//!
//! let client = Chat::client(&path).build();
//! client.connect().await?;
//! let description = client.describe_server().await?;
//! assert_eq!(description.protocol.as_deref(), Some("Chat"));
//! let hello = description.topic("hello", Direction::TowardServer).expect("it travels to the server");
//! assert_eq!(hello.reply, None);
//! # client.close().await;
//! # server.close().await;
//! # std::fs::remove_dir_all(directory)?;
//! # Ok(()) }
//! ```
//!
//! From a shell, the server listening at `/tmp/myApp.sock`:
//!
//! ```sh
//! echo '{"topic":"socket-ipc.describe"}' | socat -t 5 - UNIX-CONNECT:/tmp/myApp.sock | jq .message
//! ```
//!
//! # What is in it?
//!
//! A protocol's topics of both directions come first, in the order in which the protocol lists them. A reply is part of
//! the description of its request: `reply` is the topic that it travels under, that of the request or its `reply_topic`.
//! The request of a stream has `stream` in its place, and its items travel under its own topic.
//! The other topics that have a listener or a responder at the time of the request follow; without a protocol they are
//! all there is. A listener of every message adds no topic. Topics that a server without a protocol sends are listed
//! only if [`describe_as`](crate::ServerBuilder::describe_as) names them.
//!
//! # How are the statistics requested?
//!
//! With the same option the server replies to the request [`socket-ipc.stats`](STATS) with its
//! [`stats`](crate::ServerHandle::stats).
//!
//! # Are the types of the messages described?
//!
//! Yes, with the feature `schema`, for topics that also derive `JsonSchema` of the crate
//! [schemars](https://docs.rs/schemars), version 1. `Chat::schema()` describes a whole protocol with the JSON schemas
//! (draft 2020-12) of all messages, replies, items and errors, and needs no socket. It exists if all topics of the
//! protocol have a schema. A server that is built with `describe_as(Chat::schema())` in place of `describe()` sends the
//! schemas in its description. A server without a protocol lists its topics one by one:
//! `Description::new().receives::<Hello>().sends::<Greeting>()`.
//!
#![cfg_attr(feature = "schema", doc = "```")]
#![cfg_attr(not(feature = "schema"), doc = "```ignore")]
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Protocol, Topic};
//!
//! #[derive(Topic, JsonSchema, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello { name: String }
//!
//! #[derive(Topic, JsonSchema, Serialize, Deserialize)]
//! #[topic = "greeting"]
//! struct Greeting { text: String }
//!
//! #[derive(Protocol)]
//! #[protocol(to_server(Hello), to_client(Greeting))]
//! struct Chat;
//!
//! let server = Chat::server("/tmp/myApp.sock").describe_as(Chat::schema()).build();
//!
//! // A file for programs in TypeScript, and one for programs that read JSON schemas.
//! println!("{}", Chat::schema().typescript());
//! println!("{:#}", Chat::schema().json_schema());
//! ```
//!
//! # How does a program in TypeScript use it?
//!
//! [`typescript`](Description::typescript) makes a file of a description, either of `Chat::schema()` or of a
//! description that a server sent. The file has the types of all messages and these interfaces:
//!
//! | interface | from | to |
//! |---|---|---|
//! | `ToServer`, `ToClient` | the topic of a message | the message |
//! | `Replies` | the topic of a request | the reply |
//! | `Streams` | the topic of a request with a `stream = …` | an item |
//! | `Errors` | the topic of a request with an `error = …` | the `data` of its error replies |
//! | `ReplyTopics` | the topic of a request with a `reply_topic` | that topic |
//!
//! `Streams`, `Replies` and `Errors` hold the requests of both directions. `ReplyTopics` is there only if the server speaks a
//! wire of the Node library, which sends requests as plain messages: then the replies that travel under a topic of their own,
//! and the message `error`, are messages, too. For such a server the function `typed` gives a `Client` of the Node library the
//! types of its messages.
//!
//! [`typescript_client`](Description::typescript_client) adds a client to the same file, which needs no library. The chapter
//! [languages](crate::guide::languages#a-client-in-typescript) has it.
//!
//! # How does a program in Python use it?
//!
//! [`python`](Description::python) makes a file with the types of all messages, and
//! [`python_client`](Description::python_client) adds a client to it, which needs no library. The chapter
//! [languages](crate::guide::languages#a-client-in-python) has it.
//!
//! # Which clients may request it?
//!
//! Every client that may connect. The option is off unless set; leave it off if the topics are a secret.

mod alike;
mod definitions;
mod json_schema;
mod python;
pub(crate) mod schema;
// Declared order comes with the feature.
#[cfg(feature = "schema")]
#[cfg(test)]
mod tests;
mod topics;
mod typescript;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits;
use crate::wire::Wire;

pub use crate::topic::direction::Direction;
pub use topics::TopicDescription;

/// The topic of the request that a server replies to with its [`Description`], and of the reply.
///
/// ```no_run
/// # async fn example(client: socket_ipc::Client) -> Result<(), socket_ipc::RequestError> {
/// // for a client that wants the JSON text; `describe_server` decodes it
/// let text = client.request_raw(socket_ipc::description::DESCRIBE, &()).await?;
/// # Ok(()) }
/// ```
pub const DESCRIBE: &str = "socket-ipc.describe";

/// The topic of the request that the same server replies to with its [`Stats`](crate::Stats), and of the reply.
///
/// ```
/// use socket_ipc::description::STATS;
/// use socket_ipc::{Client, Stats};
///
/// async fn messages_received(client: &Client) -> Result<u64, Box<dyn std::error::Error>> {
///     let stats: Stats = client.request_raw(STATS, &()).await?.decode()?;
///     Ok(stats.received.messages)
/// }
/// ```
pub const STATS: &str = "socket-ipc.stats";

/// The topics that the library itself responds to where they are enabled. A description does not list them.
pub(crate) const RESERVED: [&str; 2] = [DESCRIBE, STATS];

/// A server's description of itself. The [module](self) has the chapter.
///
/// An earlier version of the library ignores the fields that a later one adds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The version of the library.
    pub version: String,
    /// The name of the protocol, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The limits for messages.
    pub limits: Limits,
    /// How envelopes are written and delimited.
    pub wire: Framing,
    /// The topics of both directions.
    pub topics: Vec<TopicDescription>,
}

/// A server's limits for messages, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message: the length of its envelope without the delimiter, in bytes.
    pub max_message_len: usize,
    /// The longest topic, in bytes.
    pub max_topic_len: usize,
}

/// How envelopes are written and delimited: the content of a [`Wire`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Framing {
    /// The bytes that follow each envelope.
    pub delimiter: String,
    /// The envelope's key for the message.
    pub message_key: String,
}

/// What a client in TypeScript makes of integers. The `number` of the language is exact up to 2⁵³.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Integers {
    /// They are `number`s. One beyond 2⁵³ is an error, where it is sent and where it is received.
    #[default]
    Number,
    /// They are `bigint`s, small ones too.
    Bigint,
}

impl Description {
    /// Makes a description without topics, with the default limits and the default wire.
    ///
    /// ```
    /// use socket_ipc::Description;
    /// use socket_ipc::description::{Direction, TopicDescription};
    ///
    /// let mut description = Description::new();
    /// description.topics.push(TopicDescription::new("greeting", Direction::TowardClient));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: None,
            limits: Limits { max_message_len: limits::MESSAGE_LEN, max_topic_len: limits::TOPIC_LEN },
            wire: Framing::of(Wire::default()),
            topics: Vec::new(),
        }
    }

    /// Writes the description as a file of TypeScript: the messages as types, in declared order, and the topics of each
    /// direction as an interface from topic to message. If the server speaks a wire of the Node library, the file has the
    /// function `typed`, too, which gives a `Client` of that library these types.
    ///
    /// A message without a known schema is `unknown`. Numbers are `number`s, which are exact up to 2⁵³.
    ///
    /// ```
    /// use serde_json::json;
    /// use socket_ipc::description::{Description, Direction, TopicDescription};
    ///
    /// let mut hello = TopicDescription::new("hello", Direction::TowardServer);
    /// hello.schema = Some(json!({
    ///     "title": "Hello",
    ///     "type": "object",
    ///     "properties": {"name": {"type": "string"}},
    ///     "required": ["name"],
    /// }));
    /// let mut description = Description::new();
    /// description.topics.push(hello);
    ///
    /// let typescript = description.typescript();
    /// assert!(typescript.contains("export interface Hello {\n    name: string;\n}"));
    /// assert!(typescript.contains("export interface ToServer {\n    hello: Hello;\n}"));
    /// ```
    #[must_use]
    pub fn typescript(&self) -> String {
        typescript::typescript(self, None)
    }

    /// Writes the same file with a client: a class `Client` on `node:net`, which needs no packages. It connects again when
    /// the connection is lost, and has messages, requests, streams and responders with these types.
    ///
    /// The chapter [languages](crate::guide::languages#a-client-in-typescript) has what it does.
    ///
    /// ```
    /// use socket_ipc::Description;
    /// use socket_ipc::description::Integers;
    ///
    /// let typescript = Description::new().typescript_client(Integers::Number);
    /// assert!(typescript.contains("export class Client {"));
    /// ```
    #[must_use]
    pub fn typescript_client(&self, integers: Integers) -> String {
        typescript::typescript(self, Some(integers))
    }

    /// Writes the messages as types of Python, 3.9 and later: `TypedDict`s, so that a message is the JSON that it is.
    ///
    /// A message without a known schema is `Any`. Integers are exact. An array is a `list`, also one of a tuple.
    ///
    /// ```
    /// use serde_json::json;
    /// use socket_ipc::description::{Description, Direction, TopicDescription};
    ///
    /// let mut hello = TopicDescription::new("hello", Direction::TowardServer);
    /// hello.schema = Some(json!({
    ///     "title": "Hello",
    ///     "type": "object",
    ///     "properties": {"name": {"type": "string"}},
    ///     "required": ["name"],
    /// }));
    /// let mut description = Description::new();
    /// description.topics.push(hello);
    ///
    /// assert!(description.python().contains("class Hello(TypedDict):\n    name: str\n"));
    /// ```
    #[must_use]
    pub fn python(&self) -> String {
        python::python(self, false)
    }

    /// Writes the types of [`python`](Self::python), and a client on `asyncio` that needs nothing else, as one file. It
    /// speaks the wire of this description.
    ///
    /// ```
    /// use socket_ipc::Description;
    /// use socket_ipc::description::{Direction, TopicDescription};
    ///
    /// let mut description = Description::new();
    /// description.topics.push(TopicDescription::new("hello", Direction::TowardServer));
    ///
    /// let python = description.python_client();
    /// assert!(python.contains("async def send(self, topic: Literal[\"hello\"], message: Any) -> None:"));
    /// ```
    #[must_use]
    pub fn python_client(&self) -> String {
        python::python(self, true)
    }

    /// Writes the description as one JSON schema, draft 2020-12, of all envelopes. The envelopes of the two directions
    /// are under `$defs/ToServer` and `$defs/ToClient`, beside the types of their messages.
    ///
    /// ```
    /// use serde_json::json;
    /// use socket_ipc::description::{Description, Direction, TopicDescription};
    ///
    /// let mut description = Description::new();
    /// description.topics.push(TopicDescription::new("hello", Direction::TowardServer));
    ///
    /// let schema = description.json_schema();
    /// let hello = &schema["$defs"]["ToServer"]["anyOf"][0];
    /// assert_eq!(hello["properties"], json!({"topic": {"const": "hello"}, "message": true}));
    /// ```
    #[must_use]
    pub fn json_schema(&self) -> Value {
        json_schema::json_schema(self)
    }

    /// Returns the description of a topic in a direction.
    #[must_use]
    pub fn topic(&self, topic: &str, direction: Direction) -> Option<&TopicDescription> {
        self.topics.iter().find(|it| it.topic == topic && it.direction == direction)
    }
}

impl Default for Description {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    pub(crate) fn new(max_message_len: usize, max_topic_len: usize) -> Self {
        Self { max_message_len, max_topic_len }
    }
}

impl Framing {
    pub(crate) fn of(wire: Wire) -> Self {
        Self { delimiter: wire.delimiter().to_owned(), message_key: wire.message_key().to_owned() }
    }

    /// Whether it is that of a wire of the Node library: without control lines and streams.
    fn is_of_node(&self) -> bool {
        Wire::OF_NODE.into_iter().any(|wire| Self::of(wire) == *self)
    }
}
