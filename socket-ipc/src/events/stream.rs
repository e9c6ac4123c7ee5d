//! Events as a bounded stream: a loop in place of callbacks.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::limits::EVENT_STREAM_LEN;
use crate::listener::ListenerId;
use crate::router::Detach;
use crate::sync::lock;

/// Events as a bounded stream: what `connection_events` of a [server](crate::ServerHandle::connection_events) and of a
/// [client](crate::ClientHandle::connection_events) return.
///
/// It has every event from the moment it was made, in the order in which they happen; several streams have every event
/// each. A slow reader delays nothing: the stream holds at most
/// [`limits::EVENT_STREAM_LEN`](crate::limits::EVENT_STREAM_LEN) (256) events, and further ones are counted. The count
/// is an event too, `Lagged`, in the place of the events that are missing.
///
/// The stream ends after the last event when its server or client is closed or dropped; it keeps neither alive.
/// Dropping the stream removes it. An event that reaches a stream counts as received: there is no `tracing` warning.
///
/// # Cancel safety
///
/// [`next`](Self::next) loses no event when it is dropped before it resolves.
///
/// # Examples
///
/// ```no_run
/// use socket_ipc::{ServerConnectionEvent, Server};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::new("/tmp/myApp.sock");
/// let mut connections = server.connection_events();
/// server.listen().await?;
/// while let Some(event) = connections.next().await {
///     match event {
///         ServerConnectionEvent::Opened(client_id) => println!("{client_id} connected"),
///         ServerConnectionEvent::Closed(client_id, reason) => println!("{client_id} is gone: {reason}"),
///         ServerConnectionEvent::Lagged(count) => println!("{count} events came too fast: {:?}", server.clients()),
///         _ => {}
///     }
/// }
/// # Ok(()) }
/// ```
#[must_use = "dropping a stream of events removes it"]
pub struct EventStream<E> {
    queue: Arc<Mutex<Queue<E>>>,
    /// Makes the event that reports the number of missing events.
    lagged: fn(u64) -> E,
    /// Set once the listeners behind it are attached.
    listeners: Option<(Weak<dyn Detach>, Vec<ListenerId>)>,
}

/// The end that listeners push events into. The stream ends when it is dropped, with the listeners that own it.
pub(crate) struct EventSender<E> {
    queue: Arc<Mutex<Queue<E>>>,
}

struct Queue<E> {
    /// At most [`EVENT_STREAM_LEN`].
    held: VecDeque<Held<E>>,
    /// How many had no room since the last that is held.
    lagged: u64,
    /// The reader that waits.
    waker: Option<Waker>,
    ended: bool,
}

struct Held<E> {
    /// How many had no room since the one before.
    lagged_before: u64,
    event: E,
}

/// Makes a stream and its sender. `lagged` makes the event that stands for this many missing events.
pub(crate) fn event_stream<E>(lagged: fn(u64) -> E) -> (Arc<EventSender<E>>, EventStream<E>) {
    let queue = Queue { held: VecDeque::new(), lagged: 0, waker: None, ended: false };
    let queue = Arc::new(Mutex::new(queue));
    let sender = EventSender { queue: Arc::clone(&queue) };
    (Arc::new(sender), EventStream { queue, lagged, listeners: None })
}

impl<E> EventStream<E> {
    pub(crate) fn attached(mut self, to: Weak<dyn Detach>, listeners: Vec<ListenerId>) -> Self {
        self.listeners = Some((to, listeners));
        self
    }

    /// Waits for the next event; `None` once the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, it takes no event.
    pub async fn next(&mut self) -> Option<E> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<E>> {
        // A waker runs foreign code: the new one is cloned, and the old one dropped, without the lock.
        let waker = cx.waker().clone();
        let mut queue = lock(&self.queue);
        match queue.take(self.lagged) {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.ended => Poll::Ready(None),
            None => {
                let before = queue.waker.replace(waker);
                drop(queue);
                drop(before);
                Poll::Pending
            }
        }
    }
}

impl<E> EventSender<E> {
    /// Whether its stream is still there.
    #[cfg(feature = "nats")]
    pub(crate) fn is_read(&self) -> bool {
        Arc::strong_count(&self.queue) > 1
    }

    /// Pushes an event, or counts it where there is no room. Never waits.
    pub(crate) fn push(&self, event: E) {
        let waker = {
            let mut queue = lock(&self.queue);
            if queue.held.len() == EVENT_STREAM_LEN {
                queue.lagged += 1;
                return;
            }
            let lagged_before = std::mem::take(&mut queue.lagged);
            queue.held.push_back(Held { lagged_before, event });
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<E> Queue<E> {
    /// The next event, or how many are missing before it.
    fn take(&mut self, lagged: fn(u64) -> E) -> Option<E> {
        let gap = match self.held.front_mut() {
            Some(next) => &mut next.lagged_before,
            None => &mut self.lagged,
        };
        match std::mem::take(gap) {
            0 => self.held.pop_front().map(|next| next.event),
            count => Some(lagged(count)),
        }
    }
}

impl<E> Stream for EventStream<E> {
    type Item = E;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<E>> {
        self.poll(cx)
    }
}

impl<E> Drop for EventStream<E> {
    fn drop(&mut self) {
        if let Some((to, listeners)) = self.listeners.take()
            && let Some(to) = to.upgrade()
        {
            for listener in listeners {
                Arc::clone(&to).detach(listener);
            }
        }
    }
}

impl<E> Drop for EventSender<E> {
    fn drop(&mut self) {
        let waker = {
            let mut queue = lock(&self.queue);
            queue.ended = true;
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<E> fmt::Debug for EventStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("held", &lock(&self.queue).held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use proptest::prelude::*;

    use super::event_stream;
    use crate::limits::EVENT_STREAM_LEN;

    #[derive(Debug, PartialEq)]
    enum Event {
        Number(u64),
        Lagged(u64),
    }

    proptest! {
        /// In every order of pushing and reading, each pushed event is either read or counted, in its place.
        #[test]
        fn event_stream_gap_is_counted_in_its_place(
            turns in prop::collection::vec((0..2 * EVENT_STREAM_LEN, 0..2 * EVENT_STREAM_LEN), 0..20),
        ) {
            let (sender, mut stream) = event_stream(Event::Lagged);
            let mut cx = Context::from_waker(Waker::noop());
            let (mut written, mut expected, mut held) = (0, 0, 0);
            let mut read = |stream: &mut super::EventStream<Event>| match stream.poll(&mut cx) {
                Poll::Ready(event) => event,
                Poll::Pending => None,
            };
            for (writes, reads) in turns {
                for _ in 0..writes {
                    sender.push(Event::Number(written));
                    written += 1;
                    held = EVENT_STREAM_LEN.min(held + 1);
                }
                for _ in 0..reads {
                    match read(&mut stream) {
                        Some(Event::Number(number)) => {
                            prop_assert_eq!(number, expected);
                            expected += 1;
                            held -= 1;
                        }
                        Some(Event::Lagged(count)) => {
                            prop_assert!(count > 0);
                            expected += count;
                        }
                        None => prop_assert_eq!((expected, held), (written, 0)),
                    }
                }
            }
            drop(sender);
            while let Some(event) = read(&mut stream) {
                expected += match event {
                    Event::Number(number) if number == expected => 1,
                    Event::Lagged(count) if count > 0 => count,
                    other => return Err(TestCaseError::fail(format!("{other:?} instead of {expected}"))),
                };
            }
            prop_assert_eq!(expected, written);
            prop_assert!(matches!(stream.poll(&mut cx), Poll::Ready(None)), "it has ended");
        }
    }

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn event_stream_reader_is_woken_by_event_and_end() {
        let (sender, mut stream) = event_stream(Event::Lagged);
        let [before, waiting] = [(); 2].map(|()| Arc::new(Woken::default()));
        let mut poll =
            |woken: &Arc<Woken>| stream.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))));
        assert_eq!(poll(&before), Poll::Pending);
        // Only the last waker is woken.
        assert_eq!(poll(&waiting), Poll::Pending);
        sender.push(Event::Number(1));
        sender.push(Event::Number(2));
        assert_eq!(waiting.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(&waiting), Poll::Ready(Some(Event::Number(1))));
        assert_eq!(poll(&waiting), Poll::Ready(Some(Event::Number(2))));
        assert_eq!(poll(&waiting), Poll::Pending);
        let other = Arc::clone(&sender);
        drop(sender);
        assert_eq!(poll(&waiting), Poll::Pending, "another listener may still have events");
        drop(other);
        assert_eq!(waiting.0.load(Ordering::Relaxed), 2);
        assert_eq!(poll(&waiting), Poll::Ready(None));
        assert_eq!(before.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn event_stream_full_counts_further_events() {
        let (sender, mut stream) = event_stream(Event::Lagged);
        for number in 0..EVENT_STREAM_LEN as u64 + 2 {
            sender.push(Event::Number(number));
        }
        assert_eq!(format!("{stream:?}"), format!("EventStream {{ held: {EVENT_STREAM_LEN}, .. }}"));
        drop(sender);
        let mut cx = Context::from_waker(Waker::noop());
        for number in 0..EVENT_STREAM_LEN as u64 {
            assert_eq!(stream.poll(&mut cx), Poll::Ready(Some(Event::Number(number))));
        }
        assert_eq!(stream.poll(&mut cx), Poll::Ready(Some(Event::Lagged(2))));
        assert_eq!(stream.poll(&mut cx), Poll::Ready(None));
    }
}
