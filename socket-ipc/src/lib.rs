//! socket-ipc
#[cfg(test)]
extern crate self as socket_ipc;
#[cfg(not(unix))]
compile_error!(
    "socket-ipc speaks over Unix domain sockets: it compiles on Unix systems only, and is tested on Linux"
);

mod activation;
mod client;
mod client_id;
mod connection;
mod delay;
mod error;
mod events;
pub mod limits;
mod listener;
mod options;
mod peer;
mod raw_message;
mod router;
mod server;
mod socket_file;
mod sync;
mod topic;
mod wire;

pub use activation::activated_listener;
pub use client::{AsyncClientListener, Client, ClientBuilder, ClientHandle};
pub use client_id::ClientId;
pub use connection::Closing;
pub use delay::Delay;
pub use error::{ConnectError, Error, FlushError, ListenError, MessageError, MessageErrorKind, SendError};
pub use events::{CloseCause, CloseReason};
pub use listener::Listener;
pub use peer::Peer;
pub use raw_message::RawMessage;
pub use router::Subscription;
pub use server::{AsyncListener, Server, ServerBuilder, ServerHandle};
pub use socket_ipc_derive::Topic;
pub use topic::Topic;
pub use wire::{EncodeError, Envelope, EnvelopeError, Wire, WireError};
