//! What is counted of an endpoint's messages, always.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use foldhash::fast::FixedState;

use crate::connection::Total;
use crate::events::{CloseCause, CloseReason};
use crate::stats::{Stats, TopicTraffic, Traffic};
use crate::sync::{read, write};
use crate::topic::TopicName;

/// Messages and bytes of one kind.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    #[inline]
    pub(crate) fn add(&self, messages: u64, bytes: usize) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn traffic(&self) -> Traffic {
        Traffic { messages: self.messages.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Both directions of one topic.
#[derive(Debug, Default)]
pub(crate) struct TopicCounters {
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

/// The counters of one endpoint.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Tells endpoints apart, in the memory of threads too.
    id: u64,
    /// Those of the topics that the program itself names: it listens for them, or sends messages of their types. So nobody
    /// else can make them more.
    topics: RwLock<HashMap<Arc<str>, Arc<TopicCounters>, FixedState>>,
    /// Those of all others together.
    pub(crate) others: Arc<TopicCounters>,
    pub(crate) message_errors: AtomicU64,
    /// Connections there have been.
    pub(crate) connections: AtomicU64,
    /// Connections that ended because the other side did not read.
    pub(crate) slow: AtomicU64,
    /// Answers that nobody waited for, or no longer.
    pub(crate) late_answers: AtomicU64,
}

thread_local! {
    /// The topic that this thread sent last, and whose: most messages are of the topic of the one before.
    static LAST: RefCell<Last> = RefCell::default();
}

#[derive(Default)]
struct Last {
    figures: u64,
    /// Where the topic's name is.
    name: usize,
    counters: Arc<TopicCounters>,
}

impl Figures {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            topics: RwLock::default(),
            others: Arc::default(),
            message_errors: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            late_answers: AtomicU64::new(0),
        })
    }

    /// The counters of a topic that the program names.
    pub(crate) fn of_topic(&self, topic: &str) -> Arc<TopicCounters> {
        if let Some(counters) = read(&self.topics).get(topic) {
            return Arc::clone(counters);
        }
        Arc::clone(write(&self.topics).entry(topic.into()).or_default())
    }

    /// Counts messages that were queued, each of `len` bytes.
    #[inline]
    pub(crate) fn sent(&self, topic: TopicName<'_>, messages: usize, len: usize) {
        let TopicName::OfType(topic) = topic else {
            return self.others.sent.add(messages as u64, messages * len);
        };
        let name = topic.as_ptr().addr();
        LAST.with_borrow_mut(|last| {
            if (last.figures, last.name) != (self.id, name) {
                *last = Last { figures: self.id, name, counters: self.of_topic(topic) };
            }
            last.counters.sent.add(messages as u64, messages * len);
        });
    }

    /// Counts a connection that ended.
    pub(crate) fn ended(&self, reason: &CloseReason) {
        if let CloseCause::SlowClient | CloseCause::SlowServer = reason.cause {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All of it, with what the endpoint knows of its connections.
    pub(crate) fn stats(&self, connected: u64, total: &Total) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (outbox_len, outbox_most) = total.queued();
        Stats {
            connected,
            connections: count(&self.connections),
            message_errors: count(&self.message_errors),
            outbox_len,
            outbox_most,
            slow: count(&self.slow),
            late_answers: count(&self.late_answers),
            ..Stats::of_topics(self.topics())
        }
    }

    /// The traffic of each topic that the program names, in the order of their names, and of all others.
    fn topics(&self) -> (Vec<TopicTraffic>, TopicTraffic) {
        let traffic = |topic: &str, counters: &TopicCounters| TopicTraffic {
            topic: topic.to_owned(),
            received: counters.received.traffic(),
            sent: counters.sent.traffic(),
        };
        let mut topics: Vec<_> =
            read(&self.topics).iter().map(|(topic, counters)| traffic(topic, counters)).collect();
        topics.sort_unstable_by(|one, other| one.topic.cmp(&other.topic));
        (topics, traffic("", &self.others))
    }
}
