//! What the tests share: a directory for every socket, events that are awaited with a deadline, raw bytes on a real
//! socket, and both runtime flavours for every test.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(feature = "nats")]
pub mod certificates;
pub mod daemon;
#[path = "../foreign/support.rs"]
pub mod foreign;
pub mod nats;
#[cfg(feature = "nats")]
pub mod operator;
#[path = "../foreign/ours.rs"]
pub mod ours;
pub mod preparation;
pub mod process;
#[path = "../foreign/python.rs"]
pub mod python;
#[path = "../foreign/typescript.rs"]
pub mod typescript;

pub use foreign::skip;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// How long an event may take before the test fails. Generous, because only a failure reaches it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Makes two tests of each asynchronous function: one on a current-thread runtime, one on a multi-thread
/// runtime.
///
/// ```
/// support::both_flavours! {
///     async fn sum_of_one_and_one_is_two() {
///         assert_eq!(1 + 1, 2);
///     }
/// }
/// ```
#[macro_export]
macro_rules! both_flavours {
    ($($(#[$attribute:meta])* async fn $name:ident() $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn body() $body

            #[test]
            $(#[$attribute])*
            fn current_thread() {
                $crate::run(tokio::runtime::Builder::new_current_thread(), body());
            }

            #[test]
            $(#[$attribute])*
            fn multi_thread() {
                let mut runtime = tokio::runtime::Builder::new_multi_thread();
                runtime.worker_threads(2);
                // Spawned, so that the test itself runs on a worker, and its future has to be `Send`.
                $crate::run(runtime, async { tokio::spawn(body()).await.unwrap() });
            }
        }
    )*};
}

/// Makes two ignored tests of each function, which gets the runtime flavour for the processes it starts.
///
/// ```
/// fn process_input_ends_exits(flavour: &str) {
///     support::process::Peer::of(&mut support::process::command("true", flavour, &[])).exits_well();
/// }
///
/// support::whole_processes! {
///     process_input_ends_exits,
/// }
/// ```
#[macro_export]
macro_rules! whole_processes {
    ($($name:ident,)*) => {$(
        mod $name {
            #[test]
            #[ignore = "whole processes"]
            fn current_thread() {
                super::$name("current_thread");
            }

            #[test]
            #[ignore = "whole processes"]
            fn multi_thread() {
                super::$name("multi_thread");
            }
        }
    )*};
}

/// Runs a test on a runtime. What [`both_flavours`] expands to.
pub fn run(mut runtime: tokio::runtime::Builder, test: impl Future<Output = ()>) {
    // With one of these variables a run may take hours, so it has no deadline.
    let long = ["SOCKET_IPC_PEERS", "SOCKET_IPC_PAIRS", "SOCKET_IPC_LARGE_REPLIES", "SOCKET_IPC_GROUPS"];
    let is_long = long.iter().any(|variable| std::env::var_os(variable).is_some());
    let deadline = if is_long { Duration::MAX } else { 6 * DEADLINE };
    runtime.enable_all().build().unwrap().block_on(async {
        let started = Instant::now();
        tokio::select! {
            biased;
            // What is installed or compiled meanwhile has a deadline of its own.
            () = async { while let Some(rest) = deadline.saturating_add(preparation::taken()).checked_sub(started.elapsed()) {
                tokio::time::sleep(rest).await;
            } } => panic!("the test did not end within {deadline:?}"),
            () = test => {}
        }
    });
}

/// Waits for `future`, and fails the test if it takes longer than [`DEADLINE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(what, DEADLINE, future).await
}

/// Waits for `future`, and fails the test if it takes longer than `deadline`.
pub async fn within<T>(what: &str, deadline: Duration, future: impl Future<Output = T>) -> T {
    in_time(deadline, future).await.unwrap_or_else(|| panic!("{what} did not happen within {deadline:?}"))
}

/// Waits for `future`; `None` if it takes longer than `deadline`.
///
/// Unlike [`tokio::time::timeout`], it does not poll the future once more at the deadline: that would hide a lost
/// wake-up, and the test would only take longer.
pub async fn in_time<T>(deadline: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = tokio::time::sleep(deadline) => None,
        value = future => Some(value),
    }
}

/// A directory of its own for the socket of one test, removed with it.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("sipc").tempdir().unwrap() }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path for the socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("test.sock")
    }
}

/// Events that listeners report, in their order.
pub struct Events<T> {
    sender: mpsc::UnboundedSender<T>,
    receiver: mpsc::UnboundedReceiver<T>,
}

impl<T: Send + 'static> Events<T> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { sender, receiver }
    }

    /// Returns a closure that reports an event. It may be called after the test has dropped `Events`.
    pub fn reporter(&self) -> impl Fn(T) + Clone + Send + Sync + 'static + use<T> {
        let sender = self.sender.clone();
        move |event| drop(sender.send(event))
    }

    /// Waits for the next event; fails the test if none comes.
    pub async fn next(&mut self) -> T {
        self.next_within(DEADLINE).await
    }

    /// Waits for the next event; fails the test if it takes longer than `deadline`.
    pub async fn next_within(&mut self, deadline: Duration) -> T {
        within("the next event", deadline, self.receiver.recv()).await.unwrap()
    }

    /// Waits for the next `count` events.
    pub async fn take(&mut self, count: usize) -> Vec<T> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await);
        }
        events
    }

    /// The events that have been reported and not been read.
    pub fn rest(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
    }
}

/// A peer without the library: bytes on a socket.
pub struct RawPeer {
    pub stream: UnixStream,
    received: Vec<u8>,
}

impl RawPeer {
    pub async fn connect(path: impl AsRef<Path>) -> Self {
        Self::over(soon("a connection", UnixStream::connect(path)).await.unwrap())
    }

    pub fn over(stream: UnixStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon("writing", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads up to the next newline, which is not returned; fails at the end of the stream.
    pub async fn line(&mut self) -> String {
        String::from_utf8(self.until(b"\n").await.expect("the end of the stream instead of a line")).unwrap()
    }

    /// Reads up to the next `end`, which is not returned; `None` at the end of the stream.
    pub async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.received[searched..].windows(end.len()).position(|window| window == end) {
                let mut message: Vec<u8> = self.received.drain(..searched + at + end.len()).collect();
                message.truncate(searched + at);
                return Some(message);
            }
            searched = (self.received.len() + 1).saturating_sub(end.len());
            if soon("bytes from the peer", self.stream.read_buf(&mut self.received)).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Waits for the peer to end the connection, and returns what it sent before.
    pub async fn closed(&mut self) -> Vec<u8> {
        while soon("the end of the stream", self.stream.read_buf(&mut self.received)).await.unwrap_or(0) > 0 {
        }
        std::mem::take(&mut self.received)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn in_time_wake_up_lost_does_not_poll_at_deadline() {
        for wakes in [false, true] {
            let mut polls = 0;
            let future = std::future::poll_fn(|cx| {
                polls += 1;
                if polls > 1 {
                    return Poll::Ready(());
                }
                if wakes {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            });
            assert_eq!(in_time(DEADLINE, future).await.is_some(), wakes);
        }
    }
}
