//! Which topics travel in which direction: as bounds, and as values.

use serde::{Deserialize, Serialize};

/// The protocol of a server or a client that was made without one: every topic may travel both ways.
///
/// It is the default of the type parameter that servers, clients, their builders and handles have, so that
/// `Server` means `Server<AnyTopic>`.
///
/// ```
/// use socket_ipc::{AnyTopic, Server};
///
/// let server: Server<AnyTopic> = Server::new("/tmp/myApp.sock");
/// ```
#[derive(Debug)]
pub enum AnyTopic {}

/// A protocol in which `T` travels from clients to the server: a client may send it, a server may listen for it.
///
/// [`#[derive(Protocol)]`](macro@crate::Protocol) implements it for every topic that `to_server` lists. [`AnyTopic`]
/// implements it for every type.
///
/// ```
/// use socket_ipc::{ClientHandle, SendError, ToServer, Topic};
/// use serde::Serialize;
///
/// /// Sends every topic that the client's protocol allows.
/// fn say<P: ToServer<T>, T: Topic + Serialize>(client: &ClientHandle<P>, message: &T) -> Result<(), SendError> {
///     client.send(message)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{T}` never travels from client to server in `{Self}`",
    label = "not a topic to the server",
    note = "topics to the server stand in `#[protocol(to_server(…))]` above `{Self}`"
)]
pub trait ToServer<T> {}

/// A protocol in which `T` travels from the server to clients: a server may send it, a client may listen for it.
///
/// [`#[derive(Protocol)]`](macro@crate::Protocol) implements it for every topic that `to_client` lists. [`AnyTopic`]
/// implements it for every type.
///
/// ```
/// use socket_ipc::{ClientId, SendError, ServerHandle, ToClient, Topic};
/// use serde::Serialize;
///
/// /// Sends every topic that the server's protocol allows.
/// fn tell<P, T>(server: &ServerHandle<P>, message: &T, client_id: ClientId) -> Result<(), SendError>
/// where
///     P: ToClient<T>,
///     T: Topic + Serialize,
/// {
///     server.send(message, client_id)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{T}` never travels from server to client in `{Self}`",
    label = "not a topic to clients",
    note = "topics to clients stand in `#[protocol(to_client(…))]` above `{Self}`"
)]
pub trait ToClient<T> {}

// Also for types that are no topics: the bound on `Topic` reports them, and a second error would add nothing.
impl<T> ToServer<T> for AnyTopic {}
impl<T> ToClient<T> for AnyTopic {}

/// Where the messages of a topic travel.
// The variants are not called `ToServer` and `ToClient`: with such variants the compiler would name the traits by their
// full paths, `socket_ipc::ToServer`, in its errors about a message of the wrong direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// From clients to the server, written `to_server`.
    #[serde(rename = "to_server")]
    TowardServer,
    /// From the server to clients, written `to_client`.
    #[serde(rename = "to_client")]
    TowardClient,
}

/// One topic of a protocol, in one direction. Replies are no topics of their own: they belong to their requests.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Travels {
    pub topic: &'static str,
    pub direction: Direction,
    pub reply: Option<&'static str>,
    pub is_stream: bool,
}

impl Travels {
    // Constants rather than a type parameter, whose bound would report a type that is no topic a second time.
    pub const fn to_server(topic: &'static str, reply: Option<&'static str>, is_stream: bool) -> Self {
        Self { topic, direction: Direction::TowardServer, reply, is_stream }
    }

    pub const fn to_client(topic: &'static str, reply: Option<&'static str>, is_stream: bool) -> Self {
        Self { topic, direction: Direction::TowardClient, reply, is_stream }
    }
}
