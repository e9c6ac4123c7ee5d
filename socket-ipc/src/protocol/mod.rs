//! A protocol: one type that says which topics travel in which direction. `#[derive(Protocol)]` implements it.

pub(crate) mod checks;

use std::path::Path;

use crate::client::ClientBuilder;
#[cfg(feature = "schema")]
use crate::description::schema::{DescribesItself, Schemas};
use crate::description::{Description, TopicDescription};
use crate::server::ServerBuilder;
use crate::topic::direction::Travels;

/// A type that says which topics travel to the server and which to clients. Implemented with
/// [`#[derive(Protocol)]`](macro@crate::Protocol).
///
/// Servers and clients of a protocol are like all others, with one difference: a program that listens for a type or
/// sends it in a direction that the protocol does not allow does not compile. The protocol restricts neither raw
/// messages nor the bytes on the socket: a peer may send any topic, in any language.
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
/// A topic of the wrong direction does not compile:
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
///
/// The chapter [protocols](crate::guide::protocols) has more.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a protocol",
    label = "not a protocol",
    note = "add `#[derive(Protocol)]` and `#[protocol(to_server(…), to_client(…))]` to the declaration of `{Self}`"
)]
pub trait Protocol: Sized + 'static {
    /// The name of the protocol, which is the name of its type.
    const NAME: &'static str;

    /// The topics of both directions, as [`Description::of`](crate::Description::of) lists them.
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

    /// Describes the protocol, with the schemas of all its topics and replies. Needs the feature `schema`, and
    /// `JsonSchema` for every topic and reply.
    ///
    /// The limits and the wire are the defaults. The schemas are JSON schemas of draft 2020-12, for clients that do not
    /// have the types: a schema of a topic to the server describes what the server can read, and a schema of a topic to
    /// clients describes what the server writes.
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Protocol, Topic};
    ///
    /// #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = i64)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// #[derive(Protocol)]
    /// #[protocol(to_server(Add))]
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
    /// Describes a protocol, without schemas, with the default limits and the default wire.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// use socket_ipc::{Description, Protocol, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "add", reply = i64)]
    /// struct Add { left: i64, right: i64 }
    ///
    /// #[derive(Protocol)]
    /// #[protocol(to_server(Add))]
    /// struct Calculator;
    ///
    /// let description = Description::of::<Calculator>();
    /// assert_eq!(description.topics[0].topic, "add");
    /// assert_eq!(description.topics[0].reply.as_deref(), Some("add"));
    /// ```
    #[must_use]
    pub fn of<P: Protocol>() -> Self {
        let topics = P::TOPICS.iter().map(TopicDescription::from).collect();
        Self { protocol: Some(P::NAME.to_owned()), topics, ..Self::new() }
    }
}

/// # Describing itself
impl<P: Protocol> ServerBuilder<P> {
    /// Makes the server reply to the request [`socket-ipc.describe`](crate::description::DESCRIBE) with a
    /// [`Description`]: its limits, its wire, its protocol, and the topics of both directions. Off unless set; the
    /// request then has no responder.
    ///
    /// The description has no schemas; use `describe_as(Chat::schema())` to add them. The server responds to the topic
    /// itself: attaching another responder to it fails with
    /// [`RegisterError::AlreadyRegistered`](crate::RegisterError::AlreadyRegistered).
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
