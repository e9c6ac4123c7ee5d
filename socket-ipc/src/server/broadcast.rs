//! From a message to the outboxes of all clients, or of the members of a group.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::consume_budget;
use tokio::time::Instant;

use super::clients::ConnectedClient;
use super::recipients::Recipients;
use super::state::State;
use crate::client_id::ClientId;
use crate::connection::{CloseCommand, PushError, counted_for, encoded};
use crate::error::SendError;
use crate::events::CloseCause;
use crate::topic::TopicName;
use crate::wire::Tail;

/// A wait for one client that takes at least this long counts for all clients that have no room.
const COUNTED_FOR_ALL: Duration = Duration::from_millis(1);

/// What a paced broadcast waits for.
enum Wait {
    /// Room in the outbox of a client.
    Client(Arc<ConnectedClient>),
    /// Room in all outboxes together.
    Total,
}

impl State {
    pub(super) fn broadcast<M: Serialize + ?Sized>(
        &self,
        to: &Recipients,
        topic: TopicName<'_>,
        message: &M,
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        self.check_open(topic.as_str())?;
        encoded(self, Tail::Message, topic.as_str(), message, |bytes| {
            self.broadcast_encoded(to, topic, bytes, except)
        })?
    }

    /// Broadcasts an encoded message.
    #[inline]
    pub(super) fn broadcast_encoded(
        &self,
        to: &Recipients,
        topic: TopicName<'_>,
        bytes: &[u8],
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        self.check_total(to, topic, bytes.len(), counted_for(bytes.len(), to.len()), except)?;
        Ok(self.push_to_all(to, topic, bytes, except, false))
    }

    /// `recipients` gives the clients that it is for at the moment of the call.
    pub(super) async fn broadcast_async<M, R>(
        &self,
        recipients: impl Fn() -> R,
        topic: TopicName<'_>,
        message: &M,
        except: Option<ClientId>,
    ) -> Result<usize, SendError>
    where
        M: Serialize + ?Sized,
        R: Deref<Target: AsRef<Recipients>>,
    {
        self.check_open(topic.as_str())?;
        let attempt = encoded(self, Tail::Message, topic.as_str(), message, |bytes| {
            let to = recipients();
            let to = to.as_ref();
            match self.wait_for(to, bytes.len(), except) {
                None => Ok(self.push_to_all(to, topic, bytes, except, true)),
                Some(wait) => Err((bytes.to_vec(), wait)),
            }
        })?;
        let (bytes, mut wait) = match attempt {
            Ok(reached) => {
                if reached == 0 {
                    // Otherwise a program that broadcasts in a loop would let no client connect.
                    consume_budget().await;
                }
                return Ok(reached);
            }
            Err(waiting) => waiting,
        };
        loop {
            self.wait_out(&recipients, wait, bytes.len()).await;
            self.check_open(topic.as_str())?;
            let to = recipients();
            let to = to.as_ref();
            match self.wait_for(to, bytes.len(), except) {
                // No wait comes between the check and the queueing: the broadcast goes to all clients or, if its future
                // is dropped before, to none. A faster sender may have filled an outbox again, which is no reason to
                // end its connection.
                None => return Ok(self.push_to_all(to, topic, &bytes, except, true)),
                Some(next) => wait = next,
            }
        }
    }

    /// Broadcasts an encoded message, once there is room.
    #[cfg(feature = "nats")]
    pub(super) async fn broadcast_encoded_async<R: Deref<Target: AsRef<Recipients>>>(
        &self,
        recipients: impl Fn() -> R,
        topic: TopicName<'_>,
        bytes: &[u8],
        except: Option<ClientId>,
    ) -> Result<usize, SendError> {
        loop {
            self.check_open(topic.as_str())?;
            let wait = {
                let to = recipients();
                let to = to.as_ref();
                match self.wait_for(to, bytes.len(), except) {
                    None => return Ok(self.push_to_all(to, topic, bytes, except, true)),
                    Some(wait) => wait,
                }
            };
            self.wait_out(&recipients, wait, bytes.len()).await;
        }
    }

    async fn wait_out<R: Deref<Target: AsRef<Recipients>>>(
        &self,
        recipients: &impl Fn() -> R,
        wait: Wait,
        len: usize,
    ) {
        match wait {
            Wait::Total => {
                let counted = counted_for(len, recipients().as_ref().len());
                self.core.outbox_budget.wait_for_room(counted).await;
            }
            Wait::Client(slow) => self.wait_for_client(recipients, &slow, len).await,
        }
    }

    fn push_to_all(
        &self,
        to: &Recipients,
        topic: TopicName<'_>,
        bytes: &[u8],
        except: Option<ClientId>,
        paced: bool,
    ) -> usize {
        let broadcast = to.log().broadcast(bytes, &self.core.outbox_budget, to.len());
        let mut reached = 0;
        to.for_each(|id, client| {
            if Some(id) == except {
                return;
            }
            match client.link.outbox.push_broadcast(&broadcast, paced) {
                Ok(()) => reached += 1,
                Err(PushError::Full { .. }) => {
                    client.link.outbox.close(CloseCommand::Abort(CloseCause::SlowClient))
                }
                Err(PushError::Ended | PushError::TotalFull) => {}
            }
        });
        self.core.metrics.sent(topic, reached, bytes.len());
        reached
    }

    /// `Err` if a broadcast of `len` bytes, of which the total would count `counted`, has no room in it.
    pub(super) fn check_total(
        &self,
        to: &Recipients,
        topic: TopicName<'_>,
        len: usize,
        counted: usize,
        except: Option<ClientId>,
    ) -> Result<(), SendError> {
        let total = &self.core.outbox_budget;
        if total.has_room(counted) || !self.needs_total(to, len, except) {
            return Ok(());
        }
        total.reject(counted);
        let full = (total.queued(), total.limit());
        Err(SendError::outbox_total_full(topic.as_str(), counted, full))
    }

    /// Whether a broadcast of this length needs room in the total, which has none. A client that is to blame for the
    /// full total does not count: its connection ends.
    fn needs_total(&self, to: &Recipients, len: usize, except: Option<ClientId>) -> bool {
        let (now, stall) = (Instant::now(), self.options.limits.write_stall);
        let mut needs = false;
        to.for_each(|id, client| {
            let outbox = &client.link.outbox;
            if Some(id) == except || outbox.takes_over_total(len) {
                return;
            }
            if outbox.is_to_blame(now, stall) {
                outbox.close(CloseCommand::Abort(CloseCause::SlowClient));
            } else {
                needs = true;
            }
        });
        needs
    }

    /// What a paced broadcast of this length has to wait for.
    fn wait_for(&self, to: &Recipients, len: usize, except: Option<ClientId>) -> Option<Wait> {
        let mut slow = None;
        to.for_each(|id, client| {
            let outbox = &client.link.outbox;
            if slow.is_none() && Some(id) != except && !outbox.has_own_room(len) && !outbox.is_left_behind() {
                slow = Some(Arc::clone(client));
            }
        });
        if let Some(slow) = slow {
            return Some(Wait::Client(slow));
        }
        let has_room = self.core.outbox_budget.has_room(counted_for(len, to.len()));
        (!has_room && self.needs_total(to, len, except)).then_some(Wait::Total)
    }

    /// Waits until this client has room or has ended, or until the time to wait for it is over.
    async fn wait_for_client<R: Deref<Target: AsRef<Recipients>>>(
        &self,
        recipients: &impl Fn() -> R,
        slow: &ConnectedClient,
        len: usize,
    ) {
        let stall = self.options.limits.write_stall;
        let Some(patience) = slow.link.outbox.patience(stall) else { return };
        let from = Instant::now();
        let impatient = {
            // A broadcast may be made outside the runtime. The runtime is known once there are clients.
            let _entered = self.core.runtime.get().map(Handle::enter);
            tokio::time::sleep(patience)
        };
        let room = slow.link.outbox.wait_until(|outbox| outbox.has_own_room(len));
        let (mut impatient, mut room) = (std::pin::pin!(impatient), std::pin::pin!(room));
        poll_fn(|cx| match room.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => impatient.as_mut().poll(cx),
        })
        .await;
        let to = Instant::now();
        slow.link.outbox.was_waited_for(from, to);
        if to.saturating_duration_since(from) < COUNTED_FOR_ALL {
            return;
        }
        // The wait counts for all clients that have no room, so that many slow clients delay a broadcast no longer than
        // one.
        recipients().as_ref().for_each(|_, client| {
            let outbox = &client.link.outbox;
            if !outbox.has_own_room(len) {
                outbox.was_waited_for(from, to);
                let _ = outbox.patience(stall);
            }
        });
    }
}
