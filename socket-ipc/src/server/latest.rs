//! Messages of which only the latest matters, to the outboxes of clients.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::handle::ServerHandle;
use super::recipients::Recipients;
use super::state::State;
use crate::connection::{CloseCommand, LatestBroadcast, Placed, PushError, encoded};
use crate::error::SendError;
use crate::events::CloseCause;
use crate::topic::direction::ToClient;
use crate::topic::{Topic, TopicName};
use crate::wire::{Tail, topic_or_none};

/// Where a message of [`broadcast_latest`](ServerHandle::broadcast_latest) has gone: for each client it is counted in
/// one of these.
///
/// ```
/// use socket_ipc::Server;
///
/// let server = Server::new("/tmp/myApp.sock");
/// let delivery = server.broadcast_latest_raw("temperature", &21)?;
/// assert_eq!((delivery.queued, delivery.deferred, delivery.replaced), (0, 0, 0));
/// # Ok::<(), socket_ipc::SendError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// For how many clients it was queued.
    pub queued: usize,
    /// For how many clients it waits until there is room, where no message of its topic waited.
    pub deferred: usize,
    /// For how many clients it waits in the place of an earlier message of its topic, which they will not get.
    pub replaced: usize,
}

/// # Sending the latest value
impl<P> ServerHandle<P> {
    /// Queues a message of which only the latest matters for every client, and says where it has gone: a reading, a
    /// position, a progress. Encodes once, never waits, and does not disconnect a client that is slow, except where the
    /// bounds of all sends do: a client that accepts no bytes for `write_stall`, and one that is to blame for all
    /// outboxes together being full (`outbox_total_len`).
    ///
    /// A client that has more than [`limits::OUTBOX_HIGH_WATER`](crate::limits::OUTBOX_HIGH_WATER) (64 KiB) queued, or
    /// no room for the message, keeps it beside its queue instead, one message a topic. The next message of the topic
    /// takes its place. It is queued as soon as there is room, and its order to other messages is that of this moment.
    /// So after any burst the last message of the topic that a client gets is the last that was broadcast, unless its
    /// connection ends. A topic whose values are also sent by other calls has no such order.
    ///
    /// What a client keeps is counted as queued for it, in `outbox_len` as well as in the
    /// [`CloseReason`](crate::CloseReason), and is written when the connection is drained. A client is also disconnected
    /// as a slow consumer where it keeps messages of several topics, and another one would exceed `outbox_len`.
    /// [`Stats::replaced_messages`](crate::Stats::replaced_messages) counts the messages that clients have skipped.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast). No client gets the message then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{SendError, ServerHandle, Topic};
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic = "progress"]
    /// struct Progress { done: u64, of: u64 }
    ///
    /// fn copied(server: &ServerHandle, done: u64, of: u64) -> Result<(), SendError> {
    ///     let delivery = server.broadcast_latest(&Progress { done, of })?;
    ///     if delivery.replaced > 0 {
    ///         println!("{} clients have skipped a value", delivery.replaced);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn broadcast_latest<T>(&self, message: &T) -> Result<Delivery, SendError>
    where
        P: ToClient<T>,
        T: Topic + Serialize,
    {
        self.state.broadcast_latest(self.state.clients.recipients(), TopicName::OfType(T::NAME), message)
    }

    /// Queues any value of which only the latest matters for every client under a topic known only at run time, as
    /// [`broadcast_latest`](Self::broadcast_latest) does; an empty topic becomes `none`.
    ///
    /// # Errors
    ///
    /// The errors of [`broadcast`](Self::broadcast).
    pub fn broadcast_latest_raw<M: Serialize + ?Sized>(
        &self,
        topic: &str,
        message: &M,
    ) -> Result<Delivery, SendError> {
        self.state.broadcast_latest(self.state.clients.recipients(), TopicName::AtRunTime(topic), message)
    }
}

impl State {
    pub(super) fn broadcast_latest<M: Serialize + ?Sized>(
        &self,
        to: &Recipients,
        topic: TopicName<'_>,
        message: &M,
    ) -> Result<Delivery, SendError> {
        self.check_open(topic.as_str())?;
        encoded(self, Tail::Message, topic.as_str(), message, |bytes| {
            // Below the high-water mark an outbox needs no room in the total, and all others share the bytes.
            self.check_total(to, topic, bytes.len(), bytes.len(), None)?;
            Ok(self.push_latest(to, topic, bytes))
        })?
    }

    fn push_latest(&self, to: &Recipients, topic: TopicName<'_>, bytes: &[u8]) -> Delivery {
        let metrics = &self.core.metrics;
        let broadcast = to.log().broadcast(bytes, &self.core.outbox_budget, to.len());
        let latest = LatestBroadcast::new(broadcast, topic_or_none(topic.as_str()), metrics.index_of(topic));
        let mut delivery = Delivery::default();
        to.for_each(|_, client| {
            let outbox = &client.link.outbox;
            match outbox.push_latest(&latest) {
                Ok(Placed::Queued) => delivery.queued += 1,
                Ok(Placed::Deferred) => delivery.deferred += 1,
                Ok(Placed::Replaced) => delivery.replaced += 1,
                Err(PushError::Full { .. }) => outbox.close(CloseCommand::Abort(CloseCause::SlowClient)),
                Err(PushError::Ended | PushError::TotalFull) => {}
            }
        });
        // What is deferred is counted when it is queued.
        metrics.sent(topic, delivery.queued, bytes.len());
        metrics.replaced_messages.fetch_add(delivery.replaced as u64, Ordering::Relaxed);
        delivery
    }
}
