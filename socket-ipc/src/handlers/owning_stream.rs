//! A stream that owns what its items are made from.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::sync::lock;

/// A stream whose items are made by a future: it may borrow across its awaits from what it owns, which a stream of the
/// user could not.
pub(super) struct OwningStream<I> {
    /// `None` once it has finished.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    slot: Slot<I>,
}

/// The place where the future leaves the next item.
pub(super) struct Slot<I>(Arc<Mutex<Option<I>>>);

impl<I> Slot<I> {
    /// Leaves an item, and waits until it is taken. Nothing has to wake the future then: it is polled for the next item.
    pub(super) async fn hand_over(&self, item: I) {
        *lock(&self.0) = Some(item);
        std::future::poll_fn(|_| if lock(&self.0).is_none() { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl<I> OwningStream<I> {
    pub(super) fn new<F>(items: impl FnOnce(Slot<I>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        Self { future: Some(Box::pin(items(Slot(Arc::clone(&slot))))), slot: Slot(slot) }
    }
}

impl<I> Stream for OwningStream<I> {
    type Item = I;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<I>> {
        let Some(future) = &mut self.future else { return Poll::Ready(None) };
        if future.as_mut().poll(cx).is_ready() {
            self.future = None;
            return Poll::Ready(None);
        }
        match lock(&self.slot.0).take() {
            Some(item) => Poll::Ready(Some(item)),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::*;

    #[test]
    fn owning_stream_of_borrowing_stream_yields_its_items() {
        let texts = ["one", "two"].map(str::to_owned);
        let mut items = OwningStream::new(|slot| async move {
            let mut borrowing = stream::iter(texts.iter().map(String::as_str));
            while let Some(text) = borrowing.next().await {
                slot.hand_over(text.to_uppercase()).await;
            }
        });
        assert_eq!(items.next().now_or_never(), Some(Some("ONE".to_owned())));
        assert_eq!(items.next().now_or_never(), Some(Some("TWO".to_owned())));
        assert_eq!(items.next().now_or_never(), Some(None));
        assert_eq!(items.next().now_or_never(), Some(None), "it stays ended");
    }

    #[test]
    fn owning_stream_waiting_future_is_pending() {
        let mut items = OwningStream::<u8>::new(|_slot| std::future::pending());
        assert_eq!(items.next().now_or_never(), None);
    }
}
