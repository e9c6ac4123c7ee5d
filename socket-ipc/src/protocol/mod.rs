//! A whole protocol in one type: the face of what `#[derive(Protocol)]` writes.

pub(crate) mod hears;

use std::path::Path;

use crate::client::ClientBuilder;
#[cfg(feature = "schema")]
use crate::description::schema::{DescribesItself, Schemas};
use crate::description::{Description, TopicDescription};
use crate::server::ServerBuilder;
use crate::topic::Request;
use crate::topic::direction::Travels;

/// A type that says which topics travel to the server and which to clients. Implemented with
/// [`#[derive(Protocol)]`](macro@crate::Protocol).
///
/// Its servers and clients work like all others, with one difference: typed listeners and typed sends compile only for
/// topics that the protocol lists in that direction. Raw listeners, raw sends and the bytes on the wire do not depend on
/// the protocol: a peer may be written without it, in any language.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Protocol, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello { name: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "greeting"]
/// struct Greeting { text: String }
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Hello), to_client(Greeting))]
/// struct Chat;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = std::env::temp_dir().join(format!("socket-ipc-protocol-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("myApp.sock");
/// let server = Chat::server(&path).build();
/// let reply = server.handle();
/// server.on::<Hello>(move |msg, client_id| {
///     let greeting = Greeting { text: format!("Hello, {}!", msg.name) };
///     if let Err(error) = reply.send(&greeting, client_id) {
///         eprintln!("{error}");
///     }
/// });
/// server.listen().await?;
///
/// let client = Chat::client(&path).build();
/// client.on::<Greeting>(|msg| println!("{}", msg.text));
/// client.connect().await?;
/// client.send(&Hello { name: "crussell52".into() })?;
/// # client.close().await;
/// # server.close().await;
/// # std::fs::remove_dir_all(directory)?;
/// # Ok(()) }
/// ```
///
/// What does not travel does not compile:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic};
/// # #[derive(Topic, Serialize, Deserialize)]
/// # #[topic = "hello"]
/// # struct Hello { name: String }
/// # #[derive(Topic, Serialize, Deserialize)]
/// # #[topic = "greeting"]
/// # struct Greeting { text: String }
/// # #[derive(Protocol)]
/// # #[protocol(to_server(Hello), to_client(Greeting))]
/// # struct Chat;
/// let server = Chat::server("/tmp/myApp.sock").build();
/// server.on::<Greeting>(|msg, _client_id| println!("{}", msg.text));
/// // error: `Greeting` never travels from client to server in `Chat`
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a protocol",
    label = "not a protocol",
    note = "add `#[derive(Protocol)]` and `#[protocol(to_server(…), to_client(…))]` to the declaration of `{Self}`"
)]
pub trait Protocol: Sized + 'static {
    /// What the protocol is called: the name of its type.
    const NAME: &'static str;

    /// What travels, as [`Description::of`](crate::Description::of) lists it.
    #[doc(hidden)]
    const TOPICS: &'static [Travels] = &[];

    /// Begins a server of this protocol for the socket at `path`, with the options of every server.
    ///
    /// ```
    /// use socket_ipc::{Protocol, Server};
    ///
    /// fn server<P: Protocol>() -> Server<P> {
    ///     P::server("/tmp/myApp.sock").mode(0o660).max_clients(100).build()
    /// }
    /// ```
    fn server(path: impl AsRef<Path>) -> ServerBuilder<Self> {
        ServerBuilder::new(path.as_ref().to_owned())
    }

    /// Describes the protocol, with the schemas of all its topics and replies; with the feature `schema`, where all of
    /// them implement `JsonSchema`.
    ///
    /// The limits and the wire are the defaults of a server. The schemas are JSON schemas of draft 2020-12, for clients
    /// that do not have the types: the schema of a topic to the server is what the server can decode, that of a topic to
    /// clients is what the server encodes.
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Protocol, Topic};
    ///
    /// #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = Sum)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    /// #[topic = "sum"]
    /// struct Sum(i64);
    ///
    /// #[derive(Protocol)]
    /// #[protocol(to_server(Add -> Sum))]
    /// struct Calculator;
    ///
    /// let schema = Calculator::schema();
    /// assert_eq!(schema.topics[0].schema.as_ref().unwrap()["required"], serde_json::json!(["left", "right"]));
    /// println!("{}", schema.typescript());
    ///
    /// // A client that requests the description gets the same.
    /// let server = Calculator::server("/tmp/myApp.sock").describe_as(schema).build();
    /// ```
    #[cfg(feature = "schema")]
    #[must_use]
    fn schema() -> Description
    where
        Self: DescribesItself<Schemas>,
    {
        let mut description = Description { protocol: Some(Self::NAME.to_owned()), ..Description::new() };
        <Self as DescribesItself<Schemas>>::describe(&mut description);
        description
    }

    /// Begins a client of this protocol, of the server at `path`, with the options of every client.
    ///
    /// ```
    /// use socket_ipc::{Client, Protocol};
    /// use std::time::Duration;
    ///
    /// fn client<P: Protocol>() -> Client<P> {
    ///     P::client("/tmp/myApp.sock").retry_delay(Duration::from_millis(500)).build()
    /// }
    /// ```
    fn client(path: impl AsRef<Path>) -> ClientBuilder<Self> {
        ClientBuilder::new(path.as_ref().to_owned())
    }
}

impl Description {
    /// Describes a protocol, without schemas, with the limits and the wire that a server has unless they are set.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Description, Protocol, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = Sum)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "sum"]
    /// struct Sum(i64);
    ///
    /// #[derive(Protocol)]
    /// #[protocol(to_server(Add -> Sum))]
    /// struct Calculator;
    ///
    /// let description = Description::of::<Calculator>();
    /// assert_eq!(description.topics[0].topic, "add");
    /// assert_eq!(description.topics[0].reply.as_deref(), Some("sum"));
    /// ```
    #[must_use]
    pub fn of<P: Protocol>() -> Self {
        let topics = P::TOPICS.iter().map(TopicDescription::from).collect();
        Self { protocol: Some(P::NAME.to_owned()), topics, ..Self::new() }
    }
}

/// # Describing itself
impl<P: Protocol> ServerBuilder<P> {
    /// Has the server reply to the request [`socket-ipc.describe`](crate::description::DESCRIBE) with a
    /// [`Description`]: its limits, its wire, its protocol, and the protocol's topics, both ways. By default a server has
    /// no responder for that request.
    ///
    /// It has no schemas; those come with `describe_as(Chat::schema())`. The topic is the server's own from then on: to
    /// respond to it is [`RegisterError::AlreadyRegistered`](crate::RegisterError::AlreadyRegistered).
    ///
    /// ```
    /// use socket_ipc::{Protocol, Server};
    ///
    /// fn server<P: Protocol>() -> Server<P> {
    ///     P::server("/tmp/myApp.sock").describe().build()
    /// }
    /// ```
    pub fn describe(self) -> Self {
        self.describe_as(Description::of::<P>())
    }
}

/// Fails to compile where the topic at `index` is among those before it. `#[derive(Protocol)]` calls it for each type
/// of a direction; the message stands at the call, on that type.
#[doc(hidden)]
#[track_caller]
#[expect(clippy::panic, reason = "at compile time: it is the error")]
pub const fn stands_once(topics: &[&str], index: usize, direction: &str, protocol: &str) {
    let mut before = 0;
    while before < index {
        if same(topics[before], topics[index]) {
            let mut text = Text { bytes: [0; 1024], len: 0 };
            text.push("topic `");
            text.push(topics[index]);
            text.push("` stands twice among those ");
            text.push(direction);
            text.push(" in `");
            text.push(protocol);
            text.push("`");
            panic!("{}", text.get());
        }
        before += 1;
    }
}

/// `==`, which is no constant function.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

/// A text that is put together at compile time, when nothing can be allocated. Names are short: a topic has 256 bytes
/// at most.
struct Text {
    bytes: [u8; 1024],
    len: usize,
}

impl Text {
    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() && self.len < self.bytes.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
    }

    const fn get(&self) -> &str {
        match str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            // Too long, and cut within a character.
            Err(_) => "a topic stands twice in one direction of a protocol",
        }
    }
}

/// Compiles where `R` is what replies `Q`. `#[derive(Protocol)]` calls it for each `Q -> R`.
#[doc(hidden)]
pub const fn has_reply<Q: Request, R: ReplyOf<Q, Q::Reply>>() {}

/// A type that is the reply `R` of the request `Q`. A bound `Q: Request<Reply = R>` would say it too, in the
/// compiler's words.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "the reply to `{Q}` is `{R}`, not `{Self}`",
    label = "not the reply to `{Q}`",
    note = "the reply stands in `#[topic(name = \"…\", reply = …)]` above `{Q}`"
)]
pub trait ReplyOf<Q, R> {}

impl<Q, R> ReplyOf<Q, R> for R {}

#[cfg(test)]
mod tests {
    use super::stands_once;

    #[test]
    fn other_names_stand_beside_each_other() {
        let topics = ["hello", "", "hell", "hello ", "Hello"];
        for index in 0..topics.len() {
            stands_once(&topics, index, "to the server", "Chat");
        }
    }

    #[test]
    #[should_panic(expected = "topic `hello` stands twice among those to clients in `Chat`")]
    fn the_message_names_the_topic_and_the_protocol() {
        stands_once(&["hello", "greeting", "hello"], 2, "to clients", "Chat");
    }

    #[test]
    #[should_panic(expected = "a topic stands twice in one direction of a protocol")]
    fn a_topic_that_no_derive_would_let_pass_is_still_refused() {
        let topic = "ü".repeat(1000);
        stands_once(&[&topic, &topic], 1, "to clients", "Chat");
    }
}
