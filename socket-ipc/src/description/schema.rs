//! Which types describe themselves, and how a protocol describes all its topics.
//!
//! A schema comes from a library that a program may be built without, and from a derive that a topic may not have. So a
//! protocol describes itself in whatever kind of schema all its topics have: `#[derive(Protocol)]` always says so, for
//! any `S`. Only with the feature `schema` is there a kind, `Schemas`, and it has every type that implements
//! `JsonSchema`.

use serde_json::Value;

use super::{Description, Direction, TopicDescription};
use crate::error::error_reply::ErrorReply;
use crate::topic::Exchange;

/// Whether the schema is of what is read, or of what is written: a field with a default need not be there when
/// it is read, and always is when it is written.
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

/// What a method for a topic returns, as the schemas of the reply and of the error.
#[doc(hidden)]
pub trait OutcomeIn<S> {
    fn schemas(contract: Contract) -> (Option<Value>, Option<Value>);
}

impl<S> OutcomeIn<S> for () {
    fn schemas(_: Contract) -> (Option<Value>, Option<Value>) {
        (None, None)
    }
}

impl<S, R: SchemaIn<S>, E: ErrorIn<S>> OutcomeIn<S> for Result<R, E> {
    fn schemas(contract: Contract) -> (Option<Value>, Option<Value>) {
        (Some(R::schema(contract)), E::error_schema(contract))
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

// For the one kind of schema that there is: of `ErrorReply` the compiler knows that it has none of that kind.
#[cfg(feature = "schema")]
impl<E: schemars::JsonSchema> ErrorIn<Schemas> for E {
    fn error_schema(contract: Contract) -> Option<Value> {
        Some(<E as SchemaIn<Schemas>>::schema(contract))
    }
}

/// A topic with a schema of the kind `S`, for its messages and for its replies.
// `Topic` is no supertrait: of a type that is none, a protocol would say so twice, since that does not depend on `S`.
#[doc(hidden)]
pub trait DescribedIn<S> {
    fn describe(direction: Direction) -> TopicDescription;
}

impl<S, T> DescribedIn<S> for T
where
    T: Exchange<Outcome: OutcomeIn<S>> + SchemaIn<S>,
{
    fn describe(direction: Direction) -> TopicDescription {
        // The schemas are for the peer, the one that does not have the types: it writes what the server reads.
        let (there, back) = match direction {
            Direction::TowardServer => (Contract::Read, Contract::Written),
            Direction::TowardClient => (Contract::Written, Contract::Read),
        };
        let (reply_schema, error_schema) = T::Outcome::schemas(back);
        TopicDescription {
            reply: T::REPLY.map(str::to_owned),
            schema: Some(T::schema(there)),
            reply_schema,
            error_schema,
            ..TopicDescription::new(T::NAME, direction)
        }
    }
}

/// A protocol whose topics all have schemas of the kind `S`. [`#[derive(Protocol)]`](macro@crate::Protocol) implements
/// it.
#[doc(hidden)]
pub trait DescribesItself<S> {
    fn describe(description: &mut Description);
}

impl Description {
    /// Says of a topic all that its type does, in place of what was said of it before.
    #[doc(hidden)]
    pub fn describe<S, T: DescribedIn<S>>(&mut self, direction: Direction) {
        let said = T::describe(direction);
        match self.topics.iter_mut().find(|it| it.direction == direction && it.topic == said.topic) {
            Some(before) => *before = said,
            None => self.topics.push(said),
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
/// With the feature `schema`. A type has one by `#[derive(JsonSchema)]`, of the crate
/// [`schemars`](https://docs.rs/schemars), version 1, which reads the attributes of serde, too.
#[cfg(feature = "schema")]
impl Description {
    /// Adds a topic that travels to the server, and that of its replies, with their schemas.
    ///
    /// It is for servers without a protocol; one with a protocol has them all by
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
    /// let description = Description::new().hears::<Hello>().sends::<Greeting>();
    /// let server = Server::builder("/tmp/myApp.sock").describe_as(description).build();
    /// ```
    #[must_use]
    pub fn hears<T: DescribedIn<Schemas>>(mut self) -> Self {
        self.describe::<Schemas, T>(Direction::TowardServer);
        self
    }

    /// Adds a topic that travels to clients, and that of their replies, with their schemas. See
    /// [`hears`](Self::hears).
    #[must_use]
    pub fn sends<T: DescribedIn<Schemas>>(mut self) -> Self {
        self.describe::<Schemas, T>(Direction::TowardClient);
        self
    }
}
