//! Events as a bounded stream, for those who prefer loops to callbacks.

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

/// Events as a bounded stream: what [`connections`](crate::ServerHandle::connection_events) and
/// [`states`](crate::ClientHandle::connection_events) return.
///
/// It has every event from the moment it was made, in the order they happened; several streams have each event
/// each. Reading it late slows down nobody and fails nothing: it holds at most
/// [`limits::EVENT_STREAM_LEN`](crate::limits::EVENT_STREAM_LEN) (256) events, and those that have no room are counted. The
/// count is an event too, `Lagged`, and stands where they are missing.
///
/// It ends, after the last event, when its server or client is closed or dropped, which it does not keep alive.
/// Dropping it removes it. An event that only a stream takes was heard: there is no `tracing` warning.
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
    /// Makes the event that says how many are missing.
    missed: fn(u64) -> E,
    /// Set once the listeners behind it are attached.
    listeners: Option<(Weak<dyn Detach>, Vec<ListenerId>)>,
}

/// What listeners hand their events to. The stream ends once it is dropped: when the listeners that own it are.
pub(crate) struct EventSender<E> {
    queue: Arc<Mutex<Queue<E>>>,
}

struct Queue<E> {
    /// At most [`EVENT_STREAM_LEN`].
    held: VecDeque<Held<E>>,
    /// How many had no room since the last that is held.
    missed: u64,
    /// Whoever found nothing here.
    waker: Option<Waker>,
    ended: bool,
}

struct Held<E> {
    /// How many had no room since the one before.
    missed_before: u64,
    event: E,
}

/// Makes a stream and what hands it an event. `missed` makes the event that stands for so many others.
pub(crate) fn event_stream<E>(missed: fn(u64) -> E) -> (Arc<EventSender<E>>, EventStream<E>) {
    let queue = Queue { held: VecDeque::new(), missed: 0, waker: None, ended: false };
    let queue = Arc::new(Mutex::new(queue));
    let sender = EventSender { queue: Arc::clone(&queue) };
    (Arc::new(sender), EventStream { queue, missed, listeners: None })
}

impl<E> EventStream<E> {
    pub(crate) fn attached(mut self, to: Weak<dyn Detach>, listeners: Vec<ListenerId>) -> Self {
        self.listeners = Some((to, listeners));
        self
    }

    /// Waits for the next event; `None` when there will be no other.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, it took no event.
    pub async fn next(&mut self) -> Option<E> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<E>> {
        // Wakers are code of somebody else: this one is made, and the one before dropped, without the lock.
        let waker = cx.waker().clone();
        let mut queue = lock(&self.queue);
        match queue.take(self.missed) {
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
    /// Hands an event over, or counts it where there is no room. Never waits.
    pub(crate) fn push(&self, event: E) {
        let waker = {
            let mut queue = lock(&self.queue);
            if queue.held.len() == EVENT_STREAM_LEN {
                queue.missed += 1;
                return;
            }
            let missed_before = std::mem::take(&mut queue.missed);
            queue.held.push_back(Held { missed_before, event });
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<E> Queue<E> {
    /// The next event, or how many are missing before it.
    fn take(&mut self, missed: fn(u64) -> E) -> Option<E> {
        let gap = match self.held.front_mut() {
            Some(next) => &mut next.missed_before,
            None => &mut self.missed,
        };
        match std::mem::take(gap) {
            0 => self.held.pop_front().map(|next| next.event),
            count => Some(missed(count)),
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
        /// Whatever the turns of writing and reading, what is read and what is missed make up what was written,
        /// each in its place.
        #[test]
        fn a_gap_is_counted_where_it_is(
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
    fn whoever_waits_is_woken_by_an_event_and_by_the_end() {
        let (sender, mut stream) = event_stream(Event::Lagged);
        let [before, waiting] = [(); 2].map(|()| Arc::new(Woken::default()));
        let mut poll =
            |woken: &Arc<Woken>| stream.poll(&mut Context::from_waker(&Waker::from(Arc::clone(woken))));
        assert_eq!(poll(&before), Poll::Pending);
        // Only whoever waited last.
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
    fn as_many_fit_as_the_limit_says() {
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
