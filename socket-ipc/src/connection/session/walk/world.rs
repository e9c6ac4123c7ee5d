//! One connection with its surroundings, and how each event changes them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::advance;

use super::event::Event::{self, *};
use super::fake::{Fake, Socket, Stream, Woken};
use crate::connection::item_queue::{Arrival, ItemQueue};
use crate::connection::outbox::CloseCommand;
use crate::connection::pending_requests::{NoReply, Outcome};
use crate::connection::session::Session;
use crate::connection::{BroadcastLog, LatestBroadcast, Limits, Link, Outbox, OutboxBudget, PendingRequests};
use crate::events::{CloseCause, CloseReason};
use crate::limits::PROBE_INTERVAL;
use crate::metrics::Metrics;
use crate::sync::lock;
use crate::topic::TopicName;

const MESSAGE: &[u8] = br#"{"topic":"note","message":null}"#;
const WRITE_STALL: Duration = Duration::from_secs(10);

/// More polls in a row than any event needs.
const SPINS: usize = 1_000;

/// One connection and its surroundings.
pub(super) struct World {
    socket: Stream,
    pub(super) endpoint: Arc<Fake>,
    link: Link,
    total: Arc<OutboxBudget>,
    pub(super) session: Pin<Box<dyn Future<Output = CloseReason>>>,
    pub(super) woken: Arc<Woken>,
    ended: Option<CloseReason>,
    requests: Vec<oneshot::Receiver<Outcome>>,
    /// The streams that this endpoint has requested.
    streams: Vec<Arc<ItemQueue>>,
    /// Half of a message has arrived.
    in_the_middle: bool,
    sent: u64,
    /// The last message of the topic of which only the latest matters.
    value: u64,
}

/// Everything that a poll can change.
#[derive(Debug, PartialEq)]
struct Seen {
    arriving: usize,
    written: usize,
    noted: usize,
    errors: usize,
    listening: usize,
    responding: usize,
    streaming: usize,
    /// How often a listener or a responder has begun to wait.
    waits: usize,
    queued: usize,
    has_ended: bool,
}

impl World {
    pub(super) fn new(max_requests: usize, forgets: bool) -> Self {
        let limits = Limits {
            max_requests,
            // Two requests fill it.
            read_ahead_len: 64,
            outbox_len: 2 * MESSAGE.len() + 2,
            write_stall: WRITE_STALL,
            ..Limits::default()
        };
        let total = OutboxBudget::new(usize::MAX);
        let outbox = Arc::new(Outbox::new(limits.outbox_len, Arc::clone(&total), Metrics::new()));
        let link = Link { pending_requests: PendingRequests::new(4, None, Handle::current()), outbox };
        let endpoint = Fake::new(limits, &link.outbox);
        let stream = Stream::default();
        lock(&stream.0).forgets = forgets;
        let session = Session::new(stream.clone(), Arc::clone(&endpoint), (), link.clone());
        Self {
            socket: stream,
            endpoint,
            link,
            total,
            session: Box::pin(session.run()),
            woken: Arc::default(),
            ended: None,
            requests: Vec::new(),
            streams: Vec::new(),
            in_the_middle: false,
            sent: 0,
            value: 0,
        }
    }

    pub(super) fn poll(&mut self) {
        if self.ended.is_none()
            && let Poll::Ready(reason) =
                self.session.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.woken))))
        {
            self.ended = Some(reason);
            // A task drops its future when that has finished.
            self.session = Box::pin(std::future::pending());
        }
    }

    /// Polls as often as the session is woken.
    pub(super) async fn run(&mut self) -> Result<(), String> {
        for _ in 0..SPINS {
            // The session may yield, and is then woken after the other tasks have run.
            tokio::task::yield_now().await;
            if !self.woken.take() {
                return Ok(());
            }
            self.poll();
        }
        Err("the session never stops waking itself".to_owned())
    }

    fn arrive(&mut self, bytes: &[u8]) {
        let mut socket = lock(&self.socket.0);
        if !socket.finished && !socket.gone && !socket.reset {
            socket.arriving.extend(bytes);
            socket.wake();
        }
    }

    fn send(&mut self) -> bool {
        let is_sent = self.link.outbox.push(&[MESSAGE, b"\n"].concat(), TopicName::OfType("note")).is_ok();
        self.sent += u64::from(is_sent);
        is_sent
    }

    fn send_value(&mut self) {
        let value = format!("{{\"topic\":\"value\",\"message\":{}}}\n", self.value + 1);
        let log = BroadcastLog::default();
        let latest =
            LatestBroadcast::new(log.broadcast(value.as_bytes(), &self.total, 1), "value", usize::MAX);
        self.value += u64::from(self.link.outbox.push_latest(&latest).is_ok());
    }

    fn change(&mut self, change: impl FnOnce(&mut Socket)) {
        let mut socket = lock(&self.socket.0);
        change(&mut socket);
        socket.wake();
    }

    pub(super) async fn happens(&mut self, event: Event) {
        match event {
            Note | Wait | RequestArrives | StreamArrives | MoreArrives | CancelArrives | Reply | Item
                if self.in_the_middle => {}
            Note => self.arrive(&[MESSAGE, b"\n"].concat()),
            Wait => self.arrive(b"{\"topic\":\"wait\",\"message\":null}\n"),
            RequestArrives => self.arrive(b"{\"topic\":\"request\",\"message\":null,\"id\":1}\n"),
            StreamArrives => {
                self.arrive(b"{\"topic\":\"stream\",\"message\":null,\"window\":64,\"id\":2}\n");
            }
            MoreArrives => self.arrive(b"{\"topic\":\"socket-ipc.more\",\"message\":[2,64],\"re\":0}\n"),
            CancelArrives => self.arrive(b"{\"topic\":\"socket-ipc.cancel\",\"message\":2,\"re\":0}\n"),
            Reply => self.arrive(b"{\"topic\":\"reply\",\"message\":null,\"re\":1}\n"),
            Item => self.arrive(b"{\"topic\":\"reply\",\"message\":null,\"more\":true,\"re\":1}\n"),
            Half => {
                let (first, second) = MESSAGE.split_at(MESSAGE.len() / 2);
                let bytes = if self.in_the_middle { [second, b"\n"].concat() } else { first.to_vec() };
                self.in_the_middle = !self.in_the_middle;
                self.arrive(&bytes);
            }
            Request => {
                if let Ok((number, reply)) = self.link.pending_requests.begin(Duration::MAX, true) {
                    self.requests.push(reply);
                    if !self.send() {
                        self.link.pending_requests.forget(number);
                        self.requests.pop();
                    }
                }
            }
            RequestStream => {
                let items = Arc::new(ItemQueue::new(Some(64)));
                let begun = self.link.pending_requests.begin_stream(Arc::clone(&items), Duration::MAX);
                if let Ok(number) = begun {
                    match self.send() {
                        true => self.streams.push(items),
                        false => self.link.pending_requests.withdraw(number),
                    }
                }
            }
            Finish => self.change(|socket| socket.finished = true),
            Leave => self.change(|socket| socket.gone = true),
            Reset => self.change(|socket| {
                socket.reset = true;
                socket.arriving.clear();
            }),
            ResponderReady => self.endpoint.responding.open(false),
            ListenerReady => self.endpoint.listening.open(false),
            Send => drop(self.send()),
            Value => self.send_value(),
            Block => self.change(|socket| socket.blocked = !socket.blocked),
            Second => advance(PROBE_INTERVAL).await,
            Stall => advance(WRITE_STALL).await,
            Drain => self.link.outbox.close(CloseCommand::Drain(CloseCause::Closed)),
            Abort => self.link.outbox.close(CloseCommand::Abort(CloseCause::Disconnected)),
        }
    }

    fn seen(&self) -> Seen {
        let socket = lock(&self.socket.0);
        Seen {
            arriving: socket.arriving.len(),
            written: socket.written.len(),
            noted: *lock(&self.endpoint.noted),
            errors: lock(&self.endpoint.errors).len(),
            listening: self.endpoint.listening.inside(),
            responding: self.endpoint.responding.inside(),
            streaming: self.endpoint.streaming.inside(),
            waits: [&self.endpoint.responding, &self.endpoint.listening, &self.endpoint.streaming]
                .map(|gate| gate.entered())
                .into_iter()
                .sum(),
            queued: self.total.queued(),
            has_ended: self.ended.is_some(),
        }
    }

    /// Reads one of the streams that this endpoint has requested.
    pub(super) fn read(&self, number: usize) -> Poll<Arrival> {
        self.streams[number].poll_read(&Context::from_waker(Waker::noop()))
    }

    /// A poll without a wake-up.
    pub(super) fn poll_unwoken(&mut self) -> Result<(), String> {
        let before = self.seen();
        self.poll();
        let after = self.seen();
        if before == after { Ok(()) } else { Err(format!("a wake-up was lost: {before:?}, then {after:?}")) }
    }

    /// Closes the peer's socket. The connection has to end.
    pub(super) async fn outlive_the_peer(&mut self) -> Result<(), String> {
        self.happens(Leave).await;
        self.run().await?;
        // A drain, a linger and a probe take no longer.
        for _ in 0..3 {
            self.happens(Stall).await;
            self.run().await?;
        }
        if self.ended.is_none() && self.endpoint.listening.inside() > 0 {
            self.endpoint.listening.open(true);
            self.run().await?;
        }
        match self.ended {
            Some(_) => Ok(()),
            None => Err(format!("the connection outlives its peer: {:?}", self.seen())),
        }
    }

    /// Checks that nothing is left of a connection that has ended.
    pub(super) fn leaves_nothing(&mut self) -> Result<(), String> {
        let Seen { listening, responding, streaming, queued, .. } = self.seen();
        if (listening, responding, streaming, queued) != (0, 0, 0, 0) || !self.link.outbox.has_ended() {
            return Err(format!("something is left: {:?}", self.seen()));
        }
        for request in &mut self.requests {
            match request.try_recv() {
                Ok(Ok(_) | Err(NoReply::Ended(_))) => {}
                other => return Err(format!("a request is pending: {other:?}")),
            }
        }
        for number in 0..self.streams.len() {
            // The items come before the end.
            while let Poll::Ready(Arrival::Lines(_)) = self.read(number) {}
            if self.read(number).is_pending() {
                return Err("a requested stream has no end".to_owned());
            }
        }
        if self.link.pending_requests.is_waiting() {
            return Err("a request is counted".to_owned());
        }
        let socket = lock(&self.socket.0);
        let text = String::from_utf8_lossy(&socket.written);
        let written = text.matches("note").count() as u64;
        let value = format!("\"value\",\"message\":{}}}", self.value);
        match &self.ended {
            Some(reason) if reason.unsent_messages == 0 && self.value > 0 && !text.contains(&value) => {
                Err(format!("the value {} is lost: {text}", self.value))
            }
            // Replies may be unsent beside messages.
            Some(reason) if written + reason.unsent_messages < self.sent => {
                Err(format!("{} messages were sent, {written} written: {reason:?}", self.sent))
            }
            _ => Ok(()),
        }
    }
}
