//! A subscription as an iterator that waits.

use std::fmt;
use std::iter::FusedIterator;
use std::time::Duration;

use super::thread::Own;
use super::wait::{deadline, wait, wait_until};
use crate::router::Subscription;

/// The messages of one topic, of a [set](crate::TopicSet) of topics, or of all, as an iterator that waits for the next
/// one: what [`subscribe`](super::Client::subscribe) and [`subscribe_raw`](super::Client::subscribe_raw) return. The
/// iterator that [`events`](super::Client::events) returns has connections, too.
///
/// It yields every message that arrives after it was made, in the order in which the server sent them, also over later
/// connections. Each of several iterators yields every message. An iterator holds at most
/// [`limits::SUBSCRIPTION_LEN`](crate::limits::SUBSCRIPTION_LEN) (256) messages, of at most
/// [`limits::SUBSCRIPTION_BYTES`](crate::limits::SUBSCRIPTION_BYTES) (8 MiB) of JSON text together. A full one slows
/// down the server's messages to this client, and loses none.
///
/// It ends after the last message when the client is closed or dropped; it does not keep the client alive. Without a
/// connection it waits for the next one. Dropping it ends the subscription.
///
/// # Panics
///
/// Waiting panics inside a listener of the same client, whose thread would wait for itself.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Topic, blocking};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "tick"]
/// struct Tick(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = blocking::Client::new("/tmp/myApp.sock");
/// let ticks = client.subscribe::<Tick>();
/// client.connect()?;
/// for Tick(number) in ticks {
///     println!("{number}");
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropping an iterator over messages removes it"]
pub struct Messages<M> {
    subscription: Subscription<M>,
    /// The topic of the messages; `None` is several or all.
    topic: Option<&'static str>,
    own: Own,
}

impl<M> Messages<M> {
    pub(super) fn new(subscription: Subscription<M>, topic: Option<&'static str>, own: Own) -> Self {
        Self { subscription, topic, own }
    }

    /// Waits for the next message, for at most this long; `Ok(None)` once the subscription has ended. With a timeout of
    /// zero it takes a message that is there.
    ///
    /// # Errors
    ///
    /// [`NextError`]: no message came in that time. The next call waits again; no message is lost in between.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use socket_ipc::blocking;
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = blocking::Client::new("/tmp/myApp.sock");
    /// let mut messages = client.subscribe_raw();
    /// client.connect()?;
    /// match messages.next_within(Duration::from_secs(5)) {
    ///     Ok(Some((topic, message))) => println!("{topic} {message}"),
    ///     Ok(None) => println!("the client is closed"),
    ///     Err(error) => println!("{error}"), // no message within 5s
    /// }
    /// # Ok(()) }
    /// ```
    pub fn next_within(&mut self, timeout: Duration) -> Result<Option<M>, NextError> {
        self.own.must_not_wait();
        wait_until(deadline(timeout), self.subscription.next())
            .ok_or(NextError { topic: self.topic, timeout })
    }
}

impl<M> Iterator for Messages<M> {
    type Item = M;

    /// Waits for the next message, as long as it takes; `None` once the subscription has ended.
    fn next(&mut self) -> Option<M> {
        self.own.must_not_wait();
        wait(self.subscription.next())
    }
}

impl<M> FusedIterator for Messages<M> {}

impl<M> fmt::Debug for Messages<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("topic", &self.topic)
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}

/// No message came in time.
///
/// ```
/// use socket_ipc::blocking;
/// use std::time::Duration;
///
/// let client = blocking::Client::new("/tmp/myApp.sock");
/// let error = client.subscribe_raw().next_within(Duration::ZERO).unwrap_err();
/// assert_eq!((error.topic, error.timeout), (None, Duration::ZERO));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message{} within {timeout:?}", of_topic(*topic))]
#[non_exhaustive]
pub struct NextError {
    /// The topic of the subscription; `None` is one of several, or any.
    pub topic: Option<&'static str>,
    /// What `next_within` was given.
    pub timeout: Duration,
}

fn of_topic(topic: Option<&'static str>) -> String {
    topic.map(|topic| format!(" of `{topic}`")).unwrap_or_default()
}
