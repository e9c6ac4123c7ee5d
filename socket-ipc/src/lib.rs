//! Typed topics over Unix domain sockets: a server, its clients, and JSON lines that any language speaks.
//!
//! A message type names its topic once, with [`#[derive(Topic)]`](macro@Topic). A listener of the type receives it
//! decoded, and a sender of the type cannot get the topic wrong. Sending a type that is no topic, or listening for one
//! that cannot be decoded, does not compile.
//!
//! ```text
//!        a process                                               other processes
//!  ┌───────────────────┐                                      ┌───────────────────┐
//!  │ Server            │            /tmp/myApp.sock           │ Client, any number│
//!  │  on::<Hello> ◀────┼─ {"topic":"hello","message":{..}}\n ─┼──── send(&Hello)  │
//!  │  send(&Greeting) ─┼─ {"topic":"greeting","message":..}\n ┼▶ on::<Greeting>   │
//!  │  broadcast(&News) ┼─ to every client ────────────────────┼▶ subscribe::<News>│
//!  │  respond::<Add> ◀─┼─ a request, and its reply ───────────┼▶ request(&Add)    │
//!  │  respond_stream ◀─┼─ a request, and many items ──────────┼▶ request_stream   │
//!  └───────────────────┘                                      └───────────────────┘
//! ```
//!
//! # Quick start
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Client, Server, Topic};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello { name: String }
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "greeting"]
//! struct Greeting { text: String }
//!
//! # async fn one_process() -> Result<(), Box<dyn std::error::Error>> {
//! // one process
//! let server = Server::new("/tmp/myApp.sock");
//! let reply = server.handle();
//! server.on::<Hello>(move |msg, client_id| {
//!     let greeting = Greeting { text: format!("Hello, {}!", msg.name) };
//!     if let Err(error) = reply.send(&greeting, client_id) {
//!         eprintln!("{error}");
//!     }
//! });
//! server.listen().await?;
//! server.closed().await; // serve until the server is closed
//! # Ok(()) }
//!
//! # async fn another_process() -> Result<(), Box<dyn std::error::Error>> {
//! // another process
//! let client = Client::new("/tmp/myApp.sock");
//! client.on::<Greeting>(|msg| println!("{}", msg.text));
//! client.on_connect_error(|error| eprintln!("{error}; trying again"));
//! client.connect().await?; // waits for the server as long as it takes
//! client.send(&Hello { name: "crussell52".into() })?;
//! client.closed().await; // listen until the client is closed
//! # Ok(()) }
//! ```
//!
//! `connect` also waits for a socket that never lets the client in: no permission, a regular file, a datagram socket.
//! [`on_connect_error`](ClientHandle::on_connect_error) says why an attempt failed, and
//! [`give_up_after`](ClientBuilder::give_up_after) bounds the wait; [events](guide::events) has more.
//!
//! [`Server`] and [`Client`] are owners: dropping one ends it at once. Their handles, [`ServerHandle`] and
//! [`ClientHandle`], are for every other part of the program, listeners included. They have all the methods that attach
//! listeners, send and close.
//!
//! # What is in the library?
//!
//! | for | see |
//! |---|---|
//! | messages | [`Topic`], [`on`](ServerHandle::on), [`on_async`](ServerHandle::on_async), [`subscribe`](ServerHandle::subscribe), [`TopicSet`], [`send`](ServerHandle::send), [`broadcast`](ServerHandle::broadcast) |
//! | rooms, and latest values | [`group`](ServerHandle::group), [`ClientGroup`], [`broadcast_latest`](ServerHandle::broadcast_latest) |
//! | requests | [`Request`], [`request`](ClientHandle::request), [`respond`](ServerHandle::respond), [`respond_async`](ServerHandle::respond_async), [`respond_with`](ServerHandle::respond_with), [`RequestError`], [`ErrorReply`] |
//! | replies of many items | [`StreamRequest`], [`request_stream`](ClientHandle::request_stream), [`respond_stream`](ServerHandle::respond_stream), [`ReplyStream`] |
//! | a whole protocol | [`Protocol`], [`#[handlers]`](macro@handlers), [`description`] |
//! | topics known only at run time | [`RawMessage`], [`on_message`](ServerHandle::on_message), [`send_raw`](ServerHandle::send_raw), [`request_raw`](ClientHandle::request_raw), [`request_stream_raw`](ClientHandle::request_stream_raw) |
//! | connections | [`events`](ServerHandle::events), [`connection_events`](ServerHandle::connection_events), [`CloseReason`], [`Peer`] |
//! | options and limits | [`ServerBuilder`], [`ClientBuilder`], [`limits`] |
//! | several machines | `socket_ipc::cluster`, with the feature `nats`: [clusters](guide::cluster) |
//! | programs without a runtime | `socket_ipc::blocking`, with the feature `blocking`: the [blocking client](guide::blocking) |
//! | other programs | [`Wire`], [other languages](guide::languages), the [command](guide::command) `socket-ipc` |
//! | systemd | [`activated_listener`], [deployment](guide::deployment) |
//! | a daemon | [`listen_until`](Server::listen_until), [`authorize`](ServerBuilder::authorize), [`per_client`](ServerHandle::per_client), [`closing`](ServerHandle::closing) |
//! | tests without a socket file | [`in_memory_client`](ServerHandle::in_memory_client), [testing](guide::testing) |
//!
//! # The book
//!
//! The book ([`guide`]) has a chapter for each subject: [messaging](guide::messaging), [groups](guide::groups),
//! [requests](guide::requests), [streams](guide::streams), [protocols](guide::protocols),
//! [handlers](guide::handlers), [events](guide::events), [guarantees](guide::guarantees), [limits](guide::limits),
//! the [wire](guide::wire), [other languages](guide::languages), the [blocking](guide::blocking) client, the
//! [command](guide::command), [deployment](guide::deployment), [clusters](guide::cluster) of servers,
//! [versioning](guide::versioning), [observability](guide::observability),
//! [testing](guide::testing), [performance](guide::performance), [comparison](guide::comparison),
//! [troubleshooting](guide::troubleshooting) by error message, the [attributes](guide::attributes) of the macros,
//! [what they generate](guide::generated), and [contributing](guide::contributing). Begin with
//! [messaging](guide::messaging); each chapter names the next.
//!
//! # Features and systems
//!
//! | feature | what it adds |
//! |---|---|
//! | `blocking` | `socket_ipc::blocking::Client`, whose calls wait |
//! | `schema` | JSON schemas in descriptions, of types that implement schemars' `JsonSchema` |
//! | `signal` | `socket_ipc::shutdown_signal`: SIGINT and SIGTERM, for [`listen_until`](Server::listen_until) |
//! | `otel` | requests carry the trace of OpenTelemetry that they are sent in: [observability](guide::observability) |
//! | `nats` | `socket_ipc::cluster`: servers on several machines, joined over NATS |
//! | `cli` | the command `socket-ipc` |
//!
//! None is on by default. Linux is tested; [deployment](guide::deployment) describes the other systems. The library
//! needs Rust 1.89 or later, and [tokio](https://docs.rs/tokio).

#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as socket_ipc;
#[cfg(not(unix))]
compile_error!(
    "socket-ipc speaks over Unix domain sockets: it compiles on Unix systems only, and is tested on Linux"
);

#[cfg(feature = "blocking")]
pub mod blocking;
mod client;
mod client_id;
#[cfg(feature = "nats")]
pub mod cluster;
mod connection;
pub mod description;
mod endpoint;
mod error;
mod events;
#[cfg(any(doc, doctest))]
pub mod guide;
mod handlers;
mod in_memory;
pub mod limits;
mod listener;
mod metrics;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod properties;
mod protocol;
mod router;
mod server;
#[cfg(feature = "signal")]
mod shutdown_signal;
mod sync;
mod topic;
#[cfg(feature = "otel")]
mod trace;
mod unix_socket;
mod wire;

pub use client::{
    AsyncClientListener, AsyncClientResponder, Client, ClientBuilder, ClientConnectionEvent, ClientEvent,
    ClientHandle, ClientResponder, ClientStreamResponder, ConnectFailures,
};
pub use client_id::ClientId;
pub use connection::{Closing, ReplyFuture, ReplyStream};
pub use description::Description;
pub use endpoint::attempt::Attempt;
pub use endpoint::origin::Origin;
pub use endpoint::reply_error::ReplyError;
pub use endpoint::reply_sender::ReplySender;
pub use error::error_reply::ErrorReply;
pub use error::{
    ConnectError, Error, FlushError, GroupError, ListenError, MessageError, MessageErrorKind, RegisterError,
    RequestError, SendError,
};
pub use events::stream::EventStream;
pub use events::{CloseCause, CloseReason};
pub use handlers::{Attaching, ClientContext, Context, Endpoint, Handles};
pub use limits::delay::Delay;
pub use listener::ListenerId;
pub use metrics::stats::{GroupStats, Stats, TopicTraffic, Traffic};
pub use protocol::Protocol;
pub use router::Subscription;
pub use server::{
    AsyncListener, AsyncResponder, ClientGroup, Delivery, PerClient, Responder, Server, ServerBuilder,
    ServerConnectionEvent, ServerEvent, ServerHandle, StreamResponder,
};
#[cfg(feature = "signal")]
pub use shutdown_signal::{ShutdownSignal, shutdown_signal};
pub use socket_ipc_derive::{Protocol, Topic, TopicSet, handlers};
pub use topic::direction::{AnyTopic, ToClient, ToServer};
pub use topic::set::{SetToClient, SetToServer, TopicSet};
pub use topic::{Exchange, Fails, Items, Received, Replies, Request, StreamRequest, Topic, kind};
pub use unix_socket::activation::{ActivatedListener, activated_listener, activated_listeners};
pub use unix_socket::group::Group;
pub use unix_socket::peer::Peer;
pub use wire::raw_message::RawMessage;
pub use wire::{AttemptKind, EncodeError, Envelope, EnvelopeError, EnvelopeKind, RequestId, Wire, WireError};

/// What the code that the derives write names, beside the public API.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "schema")]
    pub use crate::description::schema::Schemas;
    pub use crate::description::schema::{DescribedIn, DescribesItself};
    pub use crate::handlers::set::{AttachingAll, HandlersBlock, Topics};
    pub use crate::protocol::checks::{has_topic_once, set_has_topic_once};
    pub use crate::topic::direction::Travels;
    pub use crate::topic::error_text::{TextOf, TextOfAny};
    pub use crate::topic::set::Members;
    pub use std::string::String;
}
