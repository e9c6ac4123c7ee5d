//! A client whose calls wait, for scripts, tests and threads (feature `blocking`). [The book](crate::guide::blocking) has
//! a whole script.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Topic, blocking};
//! use std::time::Duration;
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic(name = "add", reply = i64)]
//! struct Add { left: i64, right: i64 }
//!
//! # fn serve(path: &std::path::Path) -> Result<(tokio::runtime::Runtime, socket_ipc::Server), Box<dyn std::error::Error>> {
//! #     let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
//! #     let server = socket_ipc::Server::new(path);
//! #     server.respond::<Add>(|Add { left, right }, _client_id| left + right)?;
//! #     runtime.block_on(server.listen())?;
//! #     Ok((runtime, server))
//! # }
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let path = "/tmp/myApp.sock";
//!     # let directory = tempfile::tempdir()?;
//!     # let path = &directory.path().join("myApp.sock");
//!     # let _serving = serve(path)?;
//!     let client = blocking::Client::new(path);
//!     client.connect_within(Duration::from_secs(5))?;
//!     let five = client.request(&Add { left: 2, right: 3 })?;
//!     assert_eq!(five, 5);
//!     Ok(())
//! }
//! ```
//!
//! # What does it run on?
//!
//! On a thread of its own, which [`connect`](Client::connect) starts, and which ends when the client is closed or
//! dropped. The asynchronous client runs there, with all its limits and guarantees; a method only waits for it. The
//! program sets up nothing of tokio. Listeners that a [`handle`](Client::handle) attaches are called on that thread: a
//! slow one delays the connection, and one that waits for its own client panics.
//!
//! # How long does a call wait?
//!
//! | call | waits for | at most |
//! |---|---|---|
//! | [`connect`](Client::connect) | a server | as long as it takes, or as `give_up_after` says |
//! | [`connect_within`](Client::connect_within) | a server | what it is given |
//! | [`connect_once`](Client::connect_once) | one attempt | `connect_timeout` (5 s) |
//! | [`send`](Client::send), [`send_raw`](Client::send_raw), [`flush`](Client::flush) | the server to read | as long as the server reads something every `write_stall` (10 s) |
//! | [`request`](Client::request), [`request_raw`](Client::request_raw) | the reply | `request_timeout` (10 s) |
//! | [`request_within`](Client::request_within), [`request_raw_within`](Client::request_raw_within) | the reply | what it is given |
//! | [`started`](ReplyStream::started) and the first `next` of a [`ReplyStream`] | the responder to begin | `request_timeout` (10 s), or what [`timeout`](ReplyStream::timeout) says |
//! | every `next` of a [`ReplyStream`] | an item | as long as it takes, or what [`idle_timeout`](ReplyStream::idle_timeout) says |
//! | `next` of [`Messages`] | a message | as long as it takes |
//! | [`next_within`](Messages::next_within) | a message | what it is given |
//! | [`close`](Client::close) | what is queued, and the server's end | `drain` (5 s) and a second |
//! | dropping it | the same, where something is queued; otherwise nothing | `drain` (5 s) and a second |
//!
//! Each of them returns at once when another thread closes the client: with an error, or, an iterator over messages, with
//! its end.
//! Keep a [`handle`](Client::handle) for that, in the code that stops the program.
//!
//! ```
//! use socket_ipc::blocking;
//! use std::thread;
//!
//! let client = blocking::Client::new("/tmp/myApp.sock");
//! let messages = client.subscribe_raw();
//! let printing = thread::spawn(move || {
//!     for (topic, message) in messages {
//!         println!("{topic} {message}");
//!     }
//! });
//! drop(client.handle().close()); // from anywhere
//! printing.join().expect("the loop has ended");
//! ```
//!
//! # What if the server goes?
//!
//! The client reconnects by itself, as the asynchronous one does. Meanwhile `send` and `request` are
//! errors ([`SendError::NotConnected`](crate::SendError::NotConnected)), and iterators over messages wait. A pending
//! request and a stream fail with [`ConnectionLost`](crate::RequestError::ConnectionLost).
//!
//! # May it be used inside a runtime?
//!
//! Yes, in asynchronous code too, of any runtime: nothing panics, and the deadlines hold. But a call that waits blocks
//! its thread, as [`std::thread::sleep`] would, and delays whatever else that thread would run. In tokio it belongs in
//! [`spawn_blocking`](tokio::task::spawn_blocking), and asynchronous code is better off with [`Client`](crate::Client).
//!
//! A server that runs on the blocked thread itself, as in a current-thread runtime, can't reply: a `request` ends with
//! [`Timeout`](crate::RequestError::Timeout) once its time is over, and a loop over messages without `next_within`
//! waits for ever. On a multi-thread runtime the same may happen while the runtime's other threads are asleep
//! ([tokio#4730](https://github.com/tokio-rs/tokio/issues/4730)). `spawn_blocking` avoids both.
//!
//! ```
//! use socket_ipc::{Server, blocking};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("myApp.sock");
//! let server = Server::new(&path);
//! server.respond_raw("double", None, |number, _client_id| Ok(2 * number.decode::<i64>()?))?;
//! server.listen().await?;
//! let reply = tokio::task::spawn_blocking(move || {
//!     let client = blocking::Client::new(&path);
//!     client.connect()?;
//!     Ok::<i64, Box<dyn std::error::Error + Send + Sync>>(client.request_raw("double", &21)?.decode()?)
//! });
//! assert_eq!(reply.await?.map_err(|error| error.to_string())?, 42);
//! # Ok(()) }
//! ```

mod client;
mod messages;
mod reply_stream;
mod thread;
mod wait;

pub use client::Client;
pub use messages::{Messages, NextError};
pub use reply_stream::ReplyStream;
