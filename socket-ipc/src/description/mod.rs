//! How does a program tell what it speaks?
//!
//! A server that is built with [`describe`](crate::ServerBuilder::describe) replies to the request
//! [`socket-ipc.describe`](DESCRIBE) with a [`Description`]: the version of the library, the protocol, the limits and
//! the wire, and every topic with its direction and the topic of its replies. Without that option there is no
//! responder, and the request fails at once.
//!
//! # How is it requested?
//!
//! By [`describe_server`](crate::ClientHandle::describe_server) of a client, or in any language: it is a request like
//! every other. The message is ignored. A request with a number is replied to under that number; one without, as a
//! program on the Node library sends it, by a message under the same topic.
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
//! With a protocol its topics, both ways, in the order they are listed. Replies by arrow stand with their requests.
//! Beyond that, and without a protocol that is all, the topics that have a listener or a responder at the time of
//! the request: which topics a listener of every message takes is not known. What a server without a protocol sends is
//! known only if it [is said](crate::ServerBuilder::describe_as).
//!
//! # And how much?
//!
//! The same option has the server reply to [`socket-ipc.stats`](STATS) with its statistics, those of
//! [`stats`](crate::ServerHandle::stats).
//!
//! # And the types of the messages?
//!
//! With the feature `schema`, for topics that also derive `JsonSchema` of the crate
//! [schemars](https://docs.rs/schemars), version 1. `Chat::schema()` is the description of a whole protocol with the
//! JSON schemas (draft 2020-12) of all messages and replies, no socket needed; it exists where all its topics have one.
//! `describe_as(Chat::schema())` in place of `describe()` has the server tell them. A server without a protocol lists
//! its topics one by one: `Description::new().hears::<Hello>().sends::<Greeting>()`.
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
//! // A file for programs in TypeScript, and one for whatever else reads JSON schemas.
//! println!("{}", Chat::schema().typescript());
//! println!("{:#}", Chat::schema().json_schema());
//! ```
//!
//! # How does a program in TypeScript use it?
//!
//! [`typescript`](Description::typescript) makes a file of a description, be it `Chat::schema()` or what a server
//! sent: the types of all messages, the interfaces `ToServer` and `ToClient` from topic to message, `Replies` from
//! request to the topic of its reply, and `typed`, which gives a `Client` of the Node library these types.
//!
//! ```ts
//! import {typed} from './topics';
//! const {Client} = require('@crussell52/socket-ipc');
//!
//! const client = new Client({socketFile: '/tmp/myApp.sock'});
//! const chat = typed(client);
//! chat.on('greeting', (greeting) => console.log(greeting.text));
//! client.on('connect', () => chat.send('hello', {name: 'Node'})); // {nam: 'Node'} does not compile
//! client.connect();
//! ```
//!
//! # Which clients may request it?
//!
//! All that may connect. A server whose topics are a secret leaves the option off, as it is unless set.

mod definitions;
mod json_schema;
pub(crate) mod schema;
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

/// The topic of the request that such a server replies to with its [`Stats`](crate::Stats), and of the reply.
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

/// What a server speaks, as it says so itself. The [module](self) has more.
///
/// What a later version of the library adds, an earlier one ignores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The version of the library.
    pub version: String,
    /// The name of the protocol, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What a message may have.
    pub limits: Limits,
    /// How messages are told apart.
    pub wire: Framing,
    /// What travels.
    pub topics: Vec<TopicDescription>,
}

/// The limits that a server has for messages, both ways.
///
/// ```no_run
/// # async fn example(client: socket_ipc::Client) -> Result<(), socket_ipc::RequestError> {
/// let limits = client.describe_server().await?.limits;
/// println!("a message may have {} bytes", limits.max_message_len);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message: that of its encoded envelope without the end of the message, in bytes.
    pub max_message_len: usize,
    /// The longest topic, in bytes.
    pub max_topic_len: usize,
}

/// How envelopes are written and told apart: what a [`Wire`] says.
///
/// ```no_run
/// # async fn example(client: socket_ipc::Client) -> Result<(), socket_ipc::RequestError> {
/// let wire = client.describe_server().await?.wire;
/// println!("a message ends with {:?}", wire.end);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Framing {
    /// The text that ends a message.
    pub end: String,
    /// The envelope's key for the message.
    pub message_key: String,
}

impl Description {
    /// Makes a description without topics, with the limits and the wire that a server has unless they are set.
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

    /// Writes it as a file of TypeScript: the messages as types, the topics of each direction as an interface from
    /// topic to message, and `typed`, which gives a `Client` of the Node library these types.
    ///
    /// A message of which no schema is known is `unknown`. Numbers are `number`s, which are exact up to 2⁵³.
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
    /// assert!(typescript.contains("export interface ToServer {\n    \"hello\": Hello;\n}"));
    /// ```
    #[must_use]
    pub fn typescript(&self) -> String {
        typescript::typescript(self)
    }

    /// Writes it as one JSON schema, draft 2020-12, of all envelopes that travel: those of each direction under
    /// `$defs/ToServer` and `$defs/ToClient`, and the types of their messages beside them.
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

    /// Returns what is said of a topic in a direction.
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
        Self { end: wire.delimiter().to_owned(), message_key: wire.message_key().to_owned() }
    }
}
