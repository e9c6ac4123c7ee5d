//! The questions that were asked over one connection and wait for their answers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::events::CloseCause;
use crate::sync::lock;

/// An answer as it arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) topic: Box<str>,
    pub(crate) message: Box<str>,
}

/// Why a question can't be asked.
#[derive(Debug)]
pub(crate) enum AskError {
    /// As many as may be wait for their answers.
    TooMany { limit: usize },
    /// The connection has ended.
    Ended(CloseCause),
}

/// Who waits for which answer.
#[derive(Debug)]
pub(crate) struct Questions {
    waiting: Mutex<Waiting>,
    /// How many wait, to be looked at without the lock.
    count: AtomicUsize,
    limit: usize,
    /// Where the deadlines are kept.
    runtime: Handle,
}

#[derive(Debug)]
struct Waiting {
    askers: HashMap<u64, oneshot::Sender<Arrived>, FixedState>,
    next_id: u64,
    /// Why there will be no other answer.
    ended: Option<CloseCause>,
}

impl Questions {
    pub(crate) fn new(limit: usize, runtime: Handle) -> Self {
        let waiting = Waiting { askers: HashMap::default(), next_id: 1, ended: None };
        Self { waiting: Mutex::new(waiting), count: AtomicUsize::new(0), limit, runtime }
    }

    /// Notes a question that is about to be sent, and gives it its number, which no other one of the connection has.
    pub(crate) fn ask(&self) -> Result<(u64, oneshot::Receiver<Arrived>), AskError> {
        let mut waiting = lock(&self.waiting);
        if let Some(cause) = &waiting.ended {
            return Err(AskError::Ended(cause.clone()));
        }
        if waiting.askers.len() >= self.limit {
            return Err(AskError::TooMany { limit: self.limit });
        }
        let (asker, answer) = oneshot::channel();
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.askers.insert(id, asker);
        self.counted(&waiting);
        Ok((id, answer))
    }

    /// Nobody waits for this answer any longer.
    pub(crate) fn forget(&self, id: u64) {
        self.take(id);
    }

    /// Hands an answer to whoever waits for it; says whether anybody does.
    pub(crate) fn answered(&self, re: u64, topic: &str, message: &str) -> bool {
        let Some(asker) = self.take(re) else { return false };
        asker.send(Arrived { topic: topic.into(), message: message.into() }).is_ok()
    }

    /// Whether anybody waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// No answer comes from now on: whoever waits for one is told.
    pub(super) fn end(&self, cause: &CloseCause) {
        let mut waiting = lock(&self.waiting);
        waiting.ended.get_or_insert_with(|| cause.clone());
        let askers = std::mem::take(&mut waiting.askers);
        self.counted(&waiting);
        drop(waiting);
        // Wakes them, without the lock.
        drop(askers);
    }

    /// Why no answer comes any more, if so.
    pub(crate) fn ended(&self) -> Option<CloseCause> {
        lock(&self.waiting).ended.clone()
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    fn take(&self, id: u64) -> Option<oneshot::Sender<Arrived>> {
        let mut waiting = lock(&self.waiting);
        let asker = waiting.askers.remove(&id);
        self.counted(&waiting);
        asker
    }

    fn counted(&self, waiting: &Waiting) {
        self.count.store(waiting.askers.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_answer_reaches_whoever_asked_and_no_number_comes_twice() {
        let questions = Questions::new(2, Handle::current());
        assert!(!questions.is_waiting());
        let (first, first_answer) = questions.ask().unwrap();
        let (second, second_answer) = questions.ask().unwrap();
        assert!(matches!(questions.ask(), Err(AskError::TooMany { limit: 2 })));
        assert!(questions.answered(second, "sum", "2"));
        assert!(questions.answered(first, "sum", "1"));
        assert!(!questions.answered(first, "sum", "1"), "it was answered before");
        assert!(!questions.answered(99, "sum", "1"), "nobody asked");
        assert_eq!(
            (&*first_answer.await.unwrap().message, &*second_answer.await.unwrap().message),
            ("1", "2")
        );
        assert!(!questions.is_waiting());
        let (third, _) = questions.ask().unwrap();
        assert!(third > second);
        questions.forget(third);
        assert!(!questions.answered(third, "sum", "3"), "it was forgotten");
    }

    #[tokio::test]
    async fn the_end_is_told_to_whoever_waits_and_to_whoever_asks_later() {
        let questions = Questions::new(2, Handle::current());
        let (_, answer) = questions.ask().unwrap();
        questions.end(&CloseCause::PeerClosed);
        questions.end(&CloseCause::Closed);
        assert!(answer.await.is_err());
        assert!(matches!(questions.ask(), Err(AskError::Ended(CloseCause::PeerClosed))));
        assert!(matches!(questions.ended(), Some(CloseCause::PeerClosed)), "the first cause counts");
    }
}
