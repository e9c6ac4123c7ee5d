//! Sending: a call waits for room in the outbox.

use serde::Serialize;

use super::Client;
use crate::blocking::wait::wait;
use crate::error::{FlushError, SendError};
use crate::topic::Topic;
use crate::topic::direction::ToServer;

/// # Sending
impl<P> Client<P> {
    /// Queues a message for the server. Waits while the outbox holds more than
    /// [`limits::OUTBOX_HIGH_WATER`](crate::limits::OUTBOX_HIGH_WATER) (64 KiB) or has no room.
    ///
    /// The wait ends when the server has read enough, or when it has read nothing for `write_stall` (10 s), which ends
    /// the connection. [`send`](crate::ClientHandle::send) of a [`handle`](Self::handle) never waits. `Ok` means
    /// queued: [`flush`](Self::flush) and [`close`](Self::close) wait until the kernel has the message.
    ///
    /// # Errors
    ///
    /// [`SendError`]: `NotConnected`, also if the connection ends meanwhile, `Closed`, `TooLarge`, `TopicTooLong`,
    /// `Encode` or `EncodePanicked`. Nothing is queued then.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{SendError, Topic, blocking};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "row"]
    /// struct Row(u64);
    ///
    /// fn export(client: &blocking::Client) -> Result<(), SendError> {
    ///     for number in 0..1_000_000 {
    ///         client.send(&Row(number))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn send<T>(&self, message: &T) -> Result<(), SendError>
    where
        P: ToServer<T>,
        T: Topic + Serialize,
    {
        self.thread.own().must_not_wait();
        wait(self.client.send_async(message))
    }

    /// Queues any value for the server under a topic known only at run time; an empty one becomes `none`. Waits as
    /// [`send`](Self::send) does.
    ///
    /// # Errors
    ///
    /// The errors of [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    pub fn send_raw<M: Serialize + ?Sized>(&self, topic: &str, message: &M) -> Result<(), SendError> {
        self.thread.own().must_not_wait();
        wait(self.client.send_raw_async(topic, message))
    }

    /// Waits until everything queued so far has been handed to the kernel. Does not wait for messages that are queued
    /// meanwhile.
    ///
    /// That does not mean that the server has received the messages: the server may end before it reads them.
    ///
    /// # Errors
    ///
    /// [`FlushError`]: there is no connection, or it ended first.
    ///
    /// # Panics
    ///
    /// Inside a listener of the same client.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(client: socket_ipc::blocking::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.send_raw("farewell", &"so long")?;
    /// client.flush()?;
    /// # Ok(()) }
    /// ```
    pub fn flush(&self) -> Result<(), FlushError> {
        self.thread.own().must_not_wait();
        wait(self.client.flush())
    }
}
