//! A whole protocol in one type: the face of what `#[derive(Protocol)]` writes.

use std::path::Path;

use crate::client::ClientBuilder;
use crate::server::ServerBuilder;

/// A type that says which topics travel to the server and which to clients. Implemented with
/// [`#[derive(Protocol)]`](macro@crate::Protocol).
pub trait Protocol: Sized + 'static {
    /// What the protocol is called: the name of its type.
    const NAME: &'static str;

    /// Begins a server of this protocol for the socket at `path`.
    fn server(path: impl AsRef<Path>) -> ServerBuilder<Self> {
        ServerBuilder::new(path.as_ref().to_owned())
    }

    /// Begins a client of this protocol, of the server at `path`.
    fn client(path: impl AsRef<Path>) -> ClientBuilder<Self> {
        ClientBuilder::new(path.as_ref().to_owned())
    }
}
