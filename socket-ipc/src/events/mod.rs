//! Events of connections, and their listeners.

pub(crate) mod ordered;
pub(crate) mod stream;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::listener::{DropReport, ListenerId, caught};
use crate::sync::lock;

/// Why a connection ended, and what was lost.
///
/// ```
/// use socket_ipc::{CloseCause, Server};
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.on_connection_close(|client_id, reason| match reason.cause {
///     CloseCause::PeerClosed => println!("{client_id} left"),
///     CloseCause::SlowClient => println!("{client_id} did not read: {} messages lost", reason.unsent_messages),
///     _ => println!("{client_id}: {reason}"),
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CloseReason {
    /// Which end closed the connection, and why.
    pub cause: CloseCause,
    /// How many messages were queued and not handed to the kernel in full.
    pub unsent_messages: u64,
    /// How many bytes were queued and not handed to the kernel.
    pub unsent_bytes: u64,
    /// How many bytes of an incomplete message had arrived. It was not dispatched.
    pub unfinished_bytes: u64,
}

/// Which end closed a connection, and why. Part of [`CloseReason`].
///
/// ```
/// use socket_ipc::{Client, CloseCause};
///
/// let client = Client::new("/tmp/myApp.sock");
/// client.on_disconnect(|reason| {
///     if !matches!(reason.cause, CloseCause::Closed) {
///         eprintln!("lost the server: {reason}");
///     }
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CloseCause {
    /// The peer closed its end, or its process ended.
    PeerClosed,
    /// The server ended the connection with `disconnect`.
    Disconnected,
    /// This endpoint was closed.
    Closed,
    /// The client did not read: its outbox made no progress for `write_stall`, or a broadcast found it full, or it held
    /// more than its share of a full `outbox_total_len` for `write_stall`.
    SlowClient,
    /// The server did not read: the client's outbox made no progress for `write_stall`.
    SlowServer,
    /// A message was not complete within `incomplete_timeout`.
    Incomplete,
    /// An incomplete message took room that other connections waited for: see `inbox_total_len`.
    InboxFull,
    /// The operating system ended the connection, or a stream that the program provided failed or panicked.
    Io(Arc<io::Error>),
}

impl CloseReason {
    /// A connection that was aborted with this much in its outbox.
    pub(crate) fn aborted(cause: CloseCause, (unsent_messages, unsent_bytes): (u64, u64)) -> Self {
        Self { cause, unsent_messages, unsent_bytes, unfinished_bytes: 0 }
    }

    /// Whether something was lost, or the connection did not end in an orderly way.
    pub(crate) fn is_loss(&self) -> bool {
        let orderly =
            matches!(self.cause, CloseCause::PeerClosed | CloseCause::Disconnected | CloseCause::Closed);
        !orderly || self.unsent_bytes > 0 || self.unfinished_bytes > 0
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cause)?;
        if self.unsent_bytes > 0 {
            write!(f, "; {} messages ({} bytes) were not sent", self.unsent_messages, self.unsent_bytes)?;
        }
        if self.unfinished_bytes > 0 {
            write!(f, "; {} bytes of an unfinished message had arrived", self.unfinished_bytes)?;
        }
        Ok(())
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed the connection"),
            Self::Disconnected => f.write_str("disconnected by the server"),
            Self::Closed => f.write_str("closed by this endpoint"),
            Self::SlowClient => f.write_str("the client is too slow"),
            Self::SlowServer => f.write_str("the server is too slow"),
            Self::Incomplete => f.write_str("a message was not completed in time"),
            Self::InboxFull => f.write_str("an unfinished message took room that others needed"),
            Self::Io(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

/// The listeners of one event, called in the order they were attached.
pub(crate) struct EventList<F: ?Sized> {
    /// Replaced and never changed in place, so that listeners are called without the lock. `None` once cleared.
    listeners: Mutex<Option<Entries<F>>>,
    report: DropReport,
}

type Entries<F> = Arc<Vec<Arc<Entry<F>>>>;

struct Entry<F: ?Sized> {
    token: ListenerId,
    attached: AtomicBool,
    /// `None` once it is dropped.
    call: Option<Box<F>>,
    report: DropReport,
}

impl<F: ?Sized> Drop for Entry<F> {
    fn drop(&mut self) {
        self.report.drop_listener(self.call.take(), || "an event".to_owned());
    }
}

impl<F: ?Sized> EventList<F> {
    pub(crate) fn new(report: &DropReport) -> Self {
        Self { listeners: Mutex::new(Some(Arc::default())), report: report.clone() }
    }

    pub(crate) fn attach(&self, call: Box<F>) -> ListenerId {
        let token = ListenerId::next();
        let entry = Arc::new(Entry {
            token,
            attached: AtomicBool::new(true),
            call: Some(call),
            report: self.report.clone(),
        });
        if let Some(listeners) = &mut *lock(&self.listeners) {
            *listeners = Arc::new(listeners.iter().cloned().chain([entry]).collect());
        }
        token
    }

    /// Removes a listener, and says whether it was attached. Once this returns, no call of the listener starts.
    pub(crate) fn off(&self, token: ListenerId) -> bool {
        let before = match &mut *lock(&self.listeners) {
            Some(listeners) if listeners.iter().any(|entry| entry.token == token) => {
                let left = listeners.iter().filter(|entry| entry.token != token).cloned().collect();
                std::mem::replace(listeners, Arc::new(left))
            }
            _ => return false,
        };
        // The listener itself is dropped here, without the lock.
        for entry in before.iter().filter(|entry| entry.token == token) {
            entry.attached.store(false, Ordering::Release);
        }
        true
    }

    /// Drops every listener, for good.
    pub(crate) fn clear(&self) {
        let before = lock(&self.listeners).take();
        drop(before);
    }

    /// Calls every listener with `call`, and `panicked` for each that panics. Says whether there were listeners.
    pub(crate) fn fire(&self, call: impl Fn(&F), panicked: impl Fn(String)) -> bool {
        let listeners = lock(&self.listeners).clone().unwrap_or_default();
        for entry in listeners.iter().filter(|entry| entry.attached.load(Ordering::Acquire)) {
            if let Some(listener) = &entry.call
                && let Err(panic) = caught(|| call(listener))
            {
                panicked(panic);
            }
        }
        !listeners.is_empty()
    }
}
