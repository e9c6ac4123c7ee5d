//! The counters of an endpoint, which are always on.

pub(crate) mod stats;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use foldhash::fast::FixedState;

use crate::events::{CloseCause, CloseReason};
use crate::metrics::stats::{Stats, TopicTraffic, Traffic};
use crate::sync::{read, write};
use crate::topic::TopicName;

/// A count of messages and of their bytes.
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
pub(crate) struct Metrics {
    /// Tells endpoints apart, in thread-local caches too.
    id: u64,
    /// The index of the counters of each topic that the program itself names, by listening for it or by sending
    /// messages of its type. So no peer can add topics.
    topics: RwLock<HashMap<Arc<str>, usize, FixedState>>,
    /// The counters, found without a lock. None is ever removed.
    counters: [OnceLock<Box<[Arc<TopicCounters>]>>; BLOCKS],
    /// The counters of all other topics together.
    pub(crate) others: Arc<TopicCounters>,
    pub(crate) message_errors: AtomicU64,
    /// Connections made so far.
    pub(crate) connections: AtomicU64,
    /// Connections that ended because the peer did not read.
    pub(crate) slow_consumers: AtomicU64,
    /// Replies that came after their requests had ended, or to no request.
    pub(crate) late_replies: AtomicU64,
    /// Replies that were dropped, because the request had no id and its topic names no `reply_topic`.
    pub(crate) dropped_replies: AtomicU64,
    /// Messages of `broadcast_latest` that clients did not get, because a later one of the topic took their place.
    pub(crate) replaced_messages: AtomicU64,
    /// Responders that have not finished: those with a single reply, and those with a stream.
    requests_in_flight: AtomicU64,
    streams_in_flight: AtomicU64,
}

/// How many topics' counters are allocated together.
const BLOCK: usize = 32;

/// How many blocks there are. Topics beyond the first 2,048 are counted with the others.
const BLOCKS: usize = 64;

/// The index of the counters of all other topics together, which is in no block.
const OTHERS: usize = usize::MAX;

thread_local! {
    /// The topic that this thread sent last: the endpoint's id, the address of the topic's name, the index of its
    /// counters. Most messages have the topic of the one before.
    static LAST: Cell<(u64, usize, usize)> = const { Cell::new((0, 0, 0)) };
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            topics: RwLock::default(),
            counters: [const { OnceLock::new() }; BLOCKS],
            others: Arc::default(),
            message_errors: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
            late_replies: AtomicU64::new(0),
            dropped_replies: AtomicU64::new(0),
            replaced_messages: AtomicU64::new(0),
            requests_in_flight: AtomicU64::new(0),
            streams_in_flight: AtomicU64::new(0),
        })
    }

    /// The counters of a topic that the program names.
    pub(crate) fn of_topic(&self, topic: &str) -> Arc<TopicCounters> {
        Arc::clone(self.at(self.place(topic)))
    }

    /// The index of the counters of a topic that the program names.
    fn place(&self, topic: &str) -> usize {
        if let Some(place) = read(&self.topics).get(topic) {
            return *place;
        }
        let mut topics = write(&self.topics);
        let next = topics.len();
        *topics.entry(topic.into()).or_insert(next)
    }

    #[inline]
    fn at(&self, place: usize) -> &Arc<TopicCounters> {
        let block = self
            .counters
            .get(place / BLOCK)
            .map(|block| block.get_or_init(|| std::iter::repeat_with(Arc::default).take(BLOCK).collect()));
        block.and_then(|block| block.get(place % BLOCK)).unwrap_or(&self.others)
    }

    /// The index of the counters of a topic.
    #[inline]
    pub(crate) fn index_of(&self, topic: TopicName<'_>) -> usize {
        let TopicName::OfType(topic) = topic else { return OTHERS };
        let name = topic.as_ptr().addr();
        match LAST.get() {
            (id, last, place) if (id, last) == (self.id, name) => place,
            _ => {
                let place = self.place(topic);
                LAST.set((self.id, name, place));
                place
            }
        }
    }

    /// Counts messages that were queued, each of `len` bytes.
    #[inline]
    pub(crate) fn sent(&self, topic: TopicName<'_>, messages: usize, len: usize) {
        self.add_sent(self.index_of(topic), messages as u64, messages * len);
    }

    /// Counts messages that were queued, of the topic whose counters have this index.
    #[inline]
    pub(crate) fn add_sent(&self, index: usize, messages: u64, bytes: usize) {
        self.at(index).sent.add(messages, bytes);
    }

    /// Counts a responder that has begun and did not finish at once.
    pub(crate) fn responder_began(&self, is_stream: bool) {
        self.in_flight(is_stream).fetch_add(1, Ordering::Relaxed);
    }

    /// Takes it off again: it has finished, or was dropped.
    pub(crate) fn responder_ended(&self, is_stream: bool) {
        self.in_flight(is_stream).fetch_sub(1, Ordering::Relaxed);
    }

    fn in_flight(&self, is_stream: bool) -> &AtomicU64 {
        if is_stream { &self.streams_in_flight } else { &self.requests_in_flight }
    }

    /// Counts a connection that ended.
    pub(crate) fn ended(&self, reason: &CloseReason) {
        if let CloseCause::SlowClient | CloseCause::SlowServer = reason.cause {
            self.slow_consumers.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A snapshot, with what the endpoint knows of its connections.
    pub(crate) fn stats(&self, open_connections: u64, outbox_len: usize, outbox_peak: usize) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            open_connections,
            total_connections: count(&self.connections),
            message_errors: count(&self.message_errors),
            outbox_len: outbox_len as u64,
            outbox_peak: outbox_peak as u64,
            slow_consumers: count(&self.slow_consumers),
            late_replies: count(&self.late_replies),
            dropped_replies: count(&self.dropped_replies),
            replaced_messages: count(&self.replaced_messages),
            requests_in_flight: count(&self.requests_in_flight),
            streams_in_flight: count(&self.streams_in_flight),
            ..Stats::of_topics(self.topics())
        }
    }

    /// The traffic of each topic that the program names, ordered by name, and of all others together.
    fn topics(&self) -> (Vec<TopicTraffic>, TopicTraffic) {
        let traffic = |topic: &str, counters: &TopicCounters| TopicTraffic {
            topic: topic.to_owned(),
            received: counters.received.traffic(),
            sent: counters.sent.traffic(),
        };
        let mut topics: Vec<_> =
            read(&self.topics).iter().map(|(topic, place)| traffic(topic, self.at(*place))).collect();
        topics.sort_unstable_by(|one, other| one.topic.cmp(&other.topic));
        (topics, traffic("", &self.others))
    }
}
