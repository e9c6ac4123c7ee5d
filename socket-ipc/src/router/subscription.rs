//! Messages as a bounded stream.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Heard;
use crate::limits::{SUBSCRIPTION_BYTES, SUBSCRIPTION_LEN};
use crate::listener::Listener;

/// Something that listeners can be removed from.
pub(crate) trait Detach: Send + Sync {
    fn detach(&self, listener: Listener);
}

/// The messages of one topic as a bounded stream, made by `subscribe`, or those of all topics, made by `subscribe_raw`.
///
/// It holds at most [`limits::SUBSCRIPTION_LEN`](crate::limits::SUBSCRIPTION_LEN) (256) messages, of at most
/// [`limits::SUBSCRIPTION_BYTES`](crate::limits::SUBSCRIPTION_BYTES) (8 MiB) of JSON text together; an empty one takes any
/// message. A full one slows down the clients that send its topic, each in its turn, and nobody else. What a message of a type
/// takes in memory may be more than its text. It ends when its server or client
/// is closed or dropped. Dropping it removes it.
///
/// # Cancel safety
///
/// [`next`](Self::next) loses no message when it is dropped before it resolves.
///
/// # Examples
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "tick"]
/// struct Tick(u64);
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("/tmp/myApp.sock");
/// let mut ticks = client.subscribe::<Tick>();
/// client.connect().await?;
/// while let Some(Tick(number)) = ticks.next().await {
///     println!("{number}");
/// }
/// # Ok(()) }
/// ```
pub struct Subscription<M> {
    messages: Receiver<(M, OwnedSemaphorePermit)>,
    /// Set once the listener behind it is attached.
    listener: Option<(Weak<dyn Detach>, Listener)>,
}

/// Makes a subscription and what hands it a message, whose text takes so many bytes.
pub(crate) fn subscription<M: Send + 'static>()
-> (impl Fn(M, usize) -> Heard + Send + Sync + 'static, Subscription<M>) {
    let (sender, messages) = mpsc::channel(SUBSCRIPTION_LEN);
    let room = Arc::new(Semaphore::new(SUBSCRIPTION_BYTES));
    let hand_over = move |message, len: usize| {
        // A longer one takes all the room there is.
        let len = u32::try_from(len.min(SUBSCRIPTION_BYTES)).unwrap_or(u32::MAX);
        if let Ok(slot) = sender.try_reserve()
            && let Ok(bytes) = Arc::clone(&room).try_acquire_many_owned(len)
        {
            slot.send((message, bytes));
            return Heard::Done;
        }
        if sender.is_closed() {
            return Heard::Done;
        }
        let (sender, room) = (sender.clone(), Arc::clone(&room));
        // Room is given out in the order it was asked for; an error means that nobody reads any more.
        Heard::Wait(Box::pin(async move {
            let bytes = tokio::select! {
                bytes = room.acquire_many_owned(len) => bytes,
                () = sender.closed() => return,
            };
            if let Ok(bytes) = bytes {
                drop(sender.send((message, bytes)).await);
            }
        }))
    };
    (hand_over, Subscription { messages, listener: None })
}

impl<M> Subscription<M> {
    pub(crate) fn attached(mut self, to: Weak<dyn Detach>, listener: Listener) -> Self {
        self.listener = Some((to, listener));
        self
    }

    /// Waits for the next message; `None` when there will be no other.
    pub async fn next(&mut self) -> Option<M> {
        self.messages.recv().await.map(|(message, _)| message)
    }
}

impl<M> Stream for Subscription<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M>> {
        self.messages.poll_recv(cx).map(|received| received.map(|(message, _)| message))
    }
}

impl<M> Drop for Subscription<M> {
    fn drop(&mut self) {
        if let Some((to, listener)) = self.listener.take()
            && let Some(to) = to.upgrade()
        {
            to.detach(listener);
        }
    }
}

impl<M> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("held", &self.messages.len()).finish_non_exhaustive()
    }
}
