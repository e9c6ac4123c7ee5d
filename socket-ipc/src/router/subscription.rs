//! Messages as a bounded stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::consume_budget;

use super::listener::CallResult;
use super::subscription_queue::{Queue, Sender};
use crate::listener::ListenerId;

/// What listeners can be removed from.
pub(crate) trait Detach: Send + Sync {
    fn detach(self: Arc<Self>, listener: ListenerId);
}

/// The messages of one topic, or of a [set](crate::TopicSet) of topics, as a bounded stream, made by `subscribe`; those
/// of all topics, made by `subscribe_raw`; or connections and messages in one order, made by `events`.
///
/// It holds at most [`limits::SUBSCRIPTION_LEN`](crate::limits::SUBSCRIPTION_LEN) (256) messages, of at most
/// [`limits::SUBSCRIPTION_BYTES`](crate::limits::SUBSCRIPTION_BYTES) (8 MiB) of JSON text together; an empty one takes
/// any message. A full one slows down only the clients that send its topics, in turn. Each of them has one further
/// message waiting, as with a listener that is running. The topics of one subscription have one queue: their messages
/// come in the order in which they were sent. A decoded message may take more memory than its text:
/// [`limits::MESSAGE_LEN`](crate::limits::MESSAGE_LEN) says how much more.
///
/// It ends when its server or client is closed or dropped. Dropping it removes its listener.
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
    queue: Arc<Queue<M>>,
    /// The task has used up its budget of tokio's scheduler.
    is_due_to_yield: bool,
    /// Set once the listeners behind it are attached.
    listeners: Option<(Weak<dyn Detach>, Vec<ListenerId>)>,
}

/// Makes a subscription, and the function that hands it a message and the length of its text.
pub(crate) fn subscription<M: Send + 'static>()
-> (impl Fn(M, usize) -> CallResult + Send + Sync + 'static, Subscription<M>) {
    let (sender, queue) = Queue::new();
    let hand_over = move |message, len| match sender.send(message, len) {
        None => CallResult::Done,
        Some(turn) => CallResult::Wait(Box::pin(turn)),
    };
    (hand_over, Subscription::new(queue))
}

/// Makes a subscription, and the end that sends to it.
pub(crate) fn subscription_of_sender<M>() -> (Sender<M>, Subscription<M>) {
    let (sender, queue) = Queue::new();
    (sender, Subscription::new(queue))
}

impl<M> Subscription<M> {
    fn new(queue: Arc<Queue<M>>) -> Self {
        Self { queue, is_due_to_yield: false, listeners: None }
    }

    pub(crate) fn attached(mut self, to: Weak<dyn Detach>, listeners: Vec<ListenerId>) -> Self {
        self.listeners = Some((to, listeners));
        self
    }

    /// Waits for the next message; `None` when there will be no other.
    pub async fn next(&mut self) -> Option<M> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<M>> {
        // A task that always finds a message has to yield to others. One that finds none uses up no budget: it may poll
        // many subscriptions.
        if self.is_due_to_yield {
            ready!(pin!(consume_budget()).poll(cx));
        }
        let message = ready!(self.queue.poll_next(cx));
        self.is_due_to_yield = pin!(consume_budget()).poll(cx).is_pending();
        Poll::Ready(message)
    }
}

impl<M> Stream for Subscription<M> {
    type Item = M;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M>> {
        self.poll(cx)
    }
}

impl<M> Drop for Subscription<M> {
    fn drop(&mut self) {
        self.queue.close();
        if let Some((to, listeners)) = self.listeners.take()
            && let Some(to) = to.upgrade()
        {
            for listener in listeners {
                Arc::clone(&to).detach(listener);
            }
        }
    }
}

impl<M> fmt::Debug for Subscription<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("held", &self.queue.len()).finish_non_exhaustive()
    }
}
