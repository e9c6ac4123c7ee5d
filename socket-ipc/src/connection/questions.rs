//! The questions that were asked over one connection and wait for their answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foldhash::fast::FixedState;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::events::CloseCause;
use crate::sync::lock;

/// What comes of a question: the envelope of its answer, as it arrived, or why there is none.
pub(super) type Outcome = Result<Box<[u8]>, Unanswered>;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    /// Its time is over.
    Late,
    /// The connection has ended.
    Ended(CloseCause),
    /// It was over the limit, and so not stored.
    TooLong { size: u64, limit: usize },
    /// The connection was not read for long, since the inbox budget has no room.
    NoRoom { limit: usize },
}

/// Why a question can't be asked.
#[derive(Debug)]
pub(super) enum AskError {
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
    /// Tells whoever keeps them that one is earlier than was known.
    earlier: Notify,
}

#[derive(Debug)]
struct Waiting {
    askers: HashMap<u64, Asker, FixedState>,
    next_id: u64,
    /// How long the task that keeps the deadlines sleeps; `None` while there is none.
    kept_until: Option<Instant>,
    /// Why there will be no other answer.
    ended: Option<CloseCause>,
}

#[derive(Debug)]
struct Asker {
    answer: oneshot::Sender<Outcome>,
    /// `None` is beyond what a clock can say.
    deadline: Option<Instant>,
}

impl Questions {
    pub(crate) fn new(limit: usize, runtime: Handle) -> Arc<Self> {
        let waiting = Waiting { askers: HashMap::default(), next_id: 1, kept_until: None, ended: None };
        Arc::new(Self {
            waiting: Mutex::new(waiting),
            count: AtomicUsize::new(0),
            limit,
            runtime,
            earlier: Notify::new(),
        })
    }

    /// Notes a question that is about to be sent, and gives it its number, which no other one of the connection has.
    pub(super) fn ask(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Result<(u64, oneshot::Receiver<Outcome>), AskError> {
        let deadline = Instant::now().checked_add(timeout);
        let (sender, receiver) = oneshot::channel();
        let mut waiting = lock(&self.waiting);
        if let Some(cause) = &waiting.ended {
            return Err(AskError::Ended(cause.clone()));
        }
        if waiting.askers.len() >= self.limit {
            return Err(AskError::TooMany { limit: self.limit });
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.askers.insert(id, Asker { answer: sender, deadline });
        self.counted(&waiting);
        self.keep(&mut waiting, deadline);
        Ok((id, receiver))
    }

    /// Gives a question another deadline, if it still waits; says whether it does.
    pub(super) fn set_deadline(self: &Arc<Self>, id: u64, deadline: Option<Instant>) -> bool {
        let mut waiting = lock(&self.waiting);
        let Some(asker) = waiting.askers.get_mut(&id) else { return false };
        asker.deadline = deadline;
        self.keep(&mut waiting, deadline);
        true
    }

    /// Nobody waits for this answer any longer.
    pub(super) fn forget(&self, id: u64) {
        drop(self.take(id));
    }

    /// Hands an answer to whoever waits for it; says whether anybody does.
    pub(super) fn answered(&self, re: u64, envelope: &[u8]) -> bool {
        self.is_waiting() && self.take(re).is_some_and(|asker| asker.answer.send(Ok(envelope.into())).is_ok())
    }

    /// Tells whoever waits for an answer that it was too long.
    pub(super) fn too_long(&self, re: u64, size: u64, limit: usize) {
        if let Some(asker) = self.take(re) {
            let _ = asker.answer.send(Err(Unanswered::TooLong { size, limit }));
        }
    }

    /// No reply is read for now: all that wait for one are told, and later ones if it goes on.
    pub(super) fn no_room(&self, limit: usize) {
        let mut waiting = lock(&self.waiting);
        let askers = std::mem::take(&mut waiting.askers);
        self.counted(&waiting);
        drop(waiting);
        // Wakes them, without the lock.
        for asker in askers.into_values() {
            let _ = asker.answer.send(Err(Unanswered::NoRoom { limit }));
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_waiting(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// No answer comes from now on: whoever waits for one is told.
    pub(crate) fn end(&self, cause: &CloseCause) {
        let mut waiting = lock(&self.waiting);
        waiting.ended.get_or_insert_with(|| cause.clone());
        let askers = std::mem::take(&mut waiting.askers);
        self.counted(&waiting);
        drop(waiting);
        // Wakes them, without the lock.
        for asker in askers.into_values() {
            let _ = asker.answer.send(Err(Unanswered::Ended(cause.clone())));
        }
        self.earlier.notify_one();
    }

    fn take(&self, id: u64) -> Option<Asker> {
        let mut waiting = lock(&self.waiting);
        let asker = waiting.askers.remove(&id);
        self.counted(&waiting);
        asker
    }

    fn counted(&self, waiting: &Waiting) {
        self.count.store(waiting.askers.len(), Ordering::Release);
    }

    // Deadlines. One task keeps those of all questions, and its timer is set for the earliest that there was when it last
    // looked: most questions are answered long before, and a timer for each would cost more than the question.

    /// Sees to it that somebody looks at the deadlines by this one.
    fn keep(self: &Arc<Self>, waiting: &mut Waiting, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        match waiting.kept_until {
            Some(until) if until <= deadline => return,
            Some(_) => self.earlier.notify_one(),
            None => drop(self.runtime.spawn(Arc::clone(self).keep_deadlines())),
        }
        waiting.kept_until = Some(deadline);
    }

    /// Tells whoever has waited for too long, until nobody waits.
    async fn keep_deadlines(self: Arc<Self>) {
        while let Some(next) = self.pass_deadlines() {
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// Gives up the questions whose deadlines have passed, and returns the next.
    fn pass_deadlines(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut waiting = lock(&self.waiting);
        let is_over = |asker: &Asker| asker.deadline.is_some_and(|deadline| deadline <= now);
        let over: Vec<_> = waiting.askers.extract_if(|_, asker| is_over(asker)).collect();
        if waiting.askers.is_empty() {
            // What many questions once took is not kept for ever.
            waiting.askers.shrink_to_fit();
        }
        self.counted(&waiting);
        waiting.kept_until = waiting.askers.values().filter_map(|asker| asker.deadline).min();
        let next = waiting.kept_until;
        drop(waiting);
        // Wakes them, without the lock.
        for (_, asker) in over {
            let _ = asker.answer.send(Err(Unanswered::Late));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn each_answer_reaches_whoever_asked_and_no_number_comes_twice() {
        let questions = Questions::new(2, Handle::current());
        assert!(!questions.is_waiting());
        let (first, first_answer) = questions.ask(LONG).unwrap();
        let (second, second_answer) = questions.ask(LONG).unwrap();
        assert!(matches!(questions.ask(LONG), Err(AskError::TooMany { limit: 2 })));
        assert!(questions.answered(second, b"2"));
        assert!(questions.answered(first, b"1"));
        assert!(!questions.answered(first, b"1"), "it was answered before");
        assert!(!questions.answered(99, b"1"), "nobody asked");
        let answers = [first_answer.await.unwrap().unwrap(), second_answer.await.unwrap().unwrap()];
        assert_eq!(answers.map(Vec::from), [b"1", b"2"]);
        assert!(!questions.is_waiting());
        let (third, _) = questions.ask(LONG).unwrap();
        assert!(third > second);
        questions.forget(third);
        assert!(!questions.answered(third, b"3"), "it was forgotten");
    }

    #[tokio::test]
    async fn the_end_is_told_to_whoever_waits_and_to_whoever_asks_later() {
        let questions = Questions::new(2, Handle::current());
        let (_, answer) = questions.ask(LONG).unwrap();
        questions.end(&CloseCause::PeerClosed);
        questions.end(&CloseCause::Closed);
        assert!(matches!(answer.await, Ok(Err(Unanswered::Ended(CloseCause::PeerClosed)))));
        let later = questions.ask(LONG);
        assert!(matches!(later, Err(AskError::Ended(CloseCause::PeerClosed))), "the first cause counts");
    }

    #[tokio::test(start_paused = true)]
    async fn each_question_waits_until_its_deadline_wherever_that_is_moved() {
        let questions = Questions::new(10, Handle::current());
        let begun = Instant::now();
        let after = |seconds| begun.checked_add(Duration::from_secs(seconds));
        let ask = |seconds| questions.ask(Duration::from_secs(seconds)).unwrap();
        let [(_, first), (moved_up, second), (moved_down, third)] = [ask(10), ask(20), ask(5)];
        let (_, never) = questions.ask(Duration::MAX).unwrap();
        tokio::task::yield_now().await;
        questions.set_deadline(moved_up, after(2));
        questions.set_deadline(moved_down, after(30));
        for (answer, seconds) in [(second, 2), (first, 10), (third, 30)] {
            assert!(matches!(answer.await, Ok(Err(Unanswered::Late))));
            assert_eq!(begun.elapsed().as_secs(), seconds);
        }
        // With nobody left to be told, who kept the deadlines has ended; the next question finds another.
        questions.end(&CloseCause::Closed);
        assert!(matches!(never.await, Ok(Err(Unanswered::Ended(_)))));
        let questions = Questions::new(10, Handle::current());
        for _ in 0..2 {
            let (_, answer) = questions.ask(Duration::from_secs(1)).unwrap();
            assert!(matches!(answer.await, Ok(Err(Unanswered::Late))));
        }
        assert_eq!(begun.elapsed().as_secs(), 32);
    }
}
