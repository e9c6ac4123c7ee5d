//! How a type describes itself by a schema, and how a protocol describes all its topics.
//!
//! A program may be built without the library that makes schemas, and a topic may lack the derive of that library. So
//! `#[derive(Protocol)]` writes its impl for any kind `S` of schema that all topics have. The only kind is `Schemas`,
//! which exists with the feature `schema`. Every type that implements `JsonSchema` has a schema of that kind.

use serde_json::Value;

use super::{Description, Direction, TopicDescription};
use crate::error::error_reply::ErrorReply;
use crate::topic::{Exchange, Request, StreamRequest, kind};

/// Whether a schema describes text that is read or text that is written. A field with a default may be missing when it
/// is read, and is never missing when it is written.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    Read,
    Written,
}

/// A type that has a schema of the kind `S`.
#[doc(hidden)]
pub trait SchemaIn<S> {
    fn schema(contract: Contract) -> Value;
}

/// The kind of the topic `T`: it adds the schemas of what comes back.
#[doc(hidden)]
pub trait RepliesIn<S, T> {
    fn describe(topic: &mut TopicDescription, contract: Contract);
}

impl<S, T> RepliesIn<S, T> for kind::Message {
    fn describe(_: &mut TopicDescription, _: Contract) {}
}

impl<S, T: Request<Reply: SchemaIn<S>, Error: ErrorIn<S>>> RepliesIn<S, T> for kind::Request {
    fn describe(topic: &mut TopicDescription, contract: Contract) {
        topic.reply_schema = Some(T::Reply::schema(contract));
        topic.error_schema = T::Error::error_schema(contract);
    }
}

impl<S, T: StreamRequest<Item: SchemaIn<S>, Error: ErrorIn<S>>> RepliesIn<S, T> for kind::Stream {
    fn describe(topic: &mut TopicDescription, contract: Contract) {
        topic.item_schema = Some(T::Item::schema(contract));
        topic.error_schema = T::Error::error_schema(contract);
    }
}

/// A type of errors, with a schema unless it is the library's own.
#[doc(hidden)]
pub trait ErrorIn<S> {
    fn error_schema(contract: Contract) -> Option<Value>;
}

impl<S> ErrorIn<S> for ErrorReply {
    fn error_schema(_: Contract) -> Option<Value> {
        None
    }
}

// For the only kind of schema, and not for every kind: the compiler knows that `ErrorReply` has no schema of this one.
#[cfg(feature = "schema")]
impl<E: schemars::JsonSchema> ErrorIn<Schemas> for E {
    fn error_schema(contract: Contract) -> Option<Value> {
        Some(<E as SchemaIn<Schemas>>::schema(contract))
    }
}

/// A topic with a schema of the kind `S`, for its messages and for its replies or items.
// `Topic` is no supertrait: for a type that is not a topic, the compiler would report the same mistake twice.
#[doc(hidden)]
pub trait DescribedIn<S> {
    fn describe(direction: Direction) -> TopicDescription;
}

impl<S, T> DescribedIn<S> for T
where
    T: Exchange<Kind: RepliesIn<S, T>> + SchemaIn<S>,
{
    fn describe(direction: Direction) -> TopicDescription {
        // The schemas are for a peer without the Rust types, usually a client: it writes what the server reads.
        let (there, back) = match direction {
            Direction::TowardServer => (Contract::Read, Contract::Written),
            Direction::TowardClient => (Contract::Written, Contract::Read),
        };
        let mut topic = TopicDescription {
            reply: T::REPLY.map(str::to_owned),
            stream: T::IS_STREAM,
            schema: Some(T::schema(there)),
            ..TopicDescription::new(T::NAME, direction)
        };
        T::Kind::describe(&mut topic, back);
        topic
    }
}

/// A protocol whose topics all have schemas of the kind `S`. [`#[derive(Protocol)]`](macro@crate::Protocol) implements
/// it.
#[doc(hidden)]
pub trait DescribesItself<S> {
    fn describe(description: &mut Description);
}

impl Description {
    /// Adds the description of a topic, or replaces an earlier description of it.
    #[doc(hidden)]
    pub fn describe<S, T: DescribedIn<S>>(&mut self, direction: Direction) {
        let described = T::describe(direction);
        match self.topics.iter_mut().find(|it| it.direction == direction && it.topic == described.topic) {
            Some(before) => *before = described,
            None => self.topics.push(described),
        }
    }
}

/// The kind of schema that `JsonSchema` makes.
#[cfg(feature = "schema")]
#[doc(hidden)]
#[derive(Debug)]
pub enum Schemas {}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> SchemaIn<Schemas> for T {
    fn schema(contract: Contract) -> Value {
        let settings = schemars::generate::SchemaSettings::draft2020_12();
        let settings = match contract {
            Contract::Read => settings.for_deserialize(),
            Contract::Written => settings.for_serialize(),
        };
        settings.into_generator().into_root_schema_for::<T>().to_value()
    }
}

/// # With schemas
///
/// These methods need the feature `schema`. A type gets a schema by `#[derive(JsonSchema)]` of the crate
/// [`schemars`](https://docs.rs/schemars), version 1, which reads serde's attributes, too.
#[cfg(feature = "schema")]
impl Description {
    /// Adds a topic that travels to the server, with its schema. If the topic is a request, adds the topic and the
    /// schema of the reply, too, or the schema of the items.
    ///
    /// This is for servers without a protocol. A protocol describes all its topics with
    /// [`schema`](crate::Protocol::schema).
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Description, Server, Topic};
    ///
    /// #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    /// #[topic = "hello"]
    /// struct Hello { name: String }
    ///
    /// #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    /// #[topic = "greeting"]
    /// struct Greeting { text: String }
    ///
    /// let description = Description::new().receives::<Hello>().sends::<Greeting>();
    /// let server = Server::builder("/tmp/myApp.sock").describe_as(description).build();
    /// ```
    #[must_use]
    pub fn receives<T: DescribedIn<Schemas>>(mut self) -> Self {
        self.describe::<Schemas, T>(Direction::TowardServer);
        self
    }

    /// Adds a topic that travels to clients, with its schema. If the topic is a request, adds the topic and the schema
    /// of the reply, too, or the schema of the items. [`receives`](Self::receives) has an example.
    #[must_use]
    pub fn sends<T: DescribedIn<Schemas>>(mut self) -> Self {
        self.describe::<Schemas, T>(Direction::TowardClient);
        self
    }
}
