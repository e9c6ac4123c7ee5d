//! Which listeners receive a message, without a socket.

mod dispatch;
mod panics;
mod removal;
mod responders;
mod runs;

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::error::error_reply::ErrorReply;
use crate::error::{MessageError, MessageErrorKind};
use crate::listener::DropReport;
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, ReplyTo, RequestId};

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "number", reply = Double)]
struct Number(u64);

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic = "double"]
struct Double(u64);

/// A request whose replies have a topic of their own.
#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "renamed", reply = Double, reply_topic = "double")]
struct Renamed(u64);

/// What listeners received and what was reported, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, text: impl Into<String>) {
        lock(&self.0).push(text.into());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}

impl Report<u64> for Log {
    fn message_error(&self, error: MessageError, from: u64) {
        let kind = match error.kind() {
            MessageErrorKind::Decode { line, column, type_name, .. } => {
                format!("decode {} at {line}:{column}", type_name)
            }
            MessageErrorKind::Envelope(_) => "envelope".to_owned(),
            MessageErrorKind::TopicTooLong { size, limit } => format!("topic {size} over {limit}"),
            other => format!("{other:?}"),
        };
        self.note(format!("{from}: error {kind}: {}", String::from_utf8_lossy(error.raw())));
    }

    fn listener_panicked(&self, listens_for: String, from: u64, panic: String) {
        self.note(format!("{from}: {listens_for} panicked: {panic}"));
    }

    fn reply_arrived(&self, re: &RequestId, topic: &str, envelope: &[u8], from: u64) {
        let len = envelope.len();
        self.note(format!("{from}: reply to {re}: {topic}, {len} bytes"));
    }

    fn send_error_reply(&self, to: &ReplyTo, topic: &str, error_reply: ErrorReply, from: u64) {
        self.note(format!(
            "{from}: {to:?} of {topic} failed: {} ({})",
            error_reply.text(),
            error_reply.code()
        ));
    }
}

struct Fixture {
    router: Arc<Router<u64>>,
    log: Log,
    cached: Cached<u64>,
}

impl Fixture {
    fn new() -> Self {
        let router = Arc::new(Router::new(Wire::JSON_LINES, 10, 64, Metrics::new(), DropReport::default()));
        Self { cached: router.cached(), log: Log::default(), router }
    }

    fn typed(&self, name: &'static str) -> ListenerId {
        let log = self.log.clone();
        self.router.attach(
            Audience::Topic("number"),
            Typed::<Number, _>::new(move |Number(n), from: u64| log.note(format!("{from}: {name} {n}"))),
        )
    }

    fn raw(&self, topic: Option<&str>, name: &'static str) -> ListenerId {
        let log = self.log.clone();
        let listener = Raw(move |message: RawMessage<'_>, topic: &str, from: u64| {
            log.note(format!("{from}: {name} {topic} {message}"))
        });
        self.router.attach(topic.map_or(Audience::Every, Audience::Topic), Box::new(listener))
    }

    /// An asynchronous listener that finishes at its second poll.
    fn slow(&self, name: &'static str) -> ListenerId {
        let log = self.log.clone();
        self.router.attach(
            Audience::Topic("number"),
            Owned::<Number, _>::new(move |Number(n), _, from: u64| {
                let log = log.clone();
                log.note(format!("{from}: {name} {n} begins"));
                let mut polled = false;
                CallResult::Wait(Box::pin(async move {
                    std::future::poll_fn(|_| {
                        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
                    })
                    .await;
                    log.note(format!("{from}: {name} {n} ends"));
                }))
            }),
        )
    }

    fn dispatch(&mut self, text: &str) -> Vec<String> {
        let mut pending = self.router.dispatch(&mut self.cached, text.as_bytes(), 7, &self.log);
        while let Some(waiting) = &mut pending {
            if waiting.poll(&mut Context::from_waker(Waker::noop()), 7, &self.log).is_ready() {
                pending = self.router.resume(&mut self.cached, waiting, text.as_bytes(), 7, &self.log);
            }
        }
        self.log.taken()
    }
}

/// A responder that doubles, panics at 13, and replies to even numbers later.
fn doubling(fixture: &Fixture) -> Box<dyn Listener<u64>> {
    let log = fixture.log.clone();
    Responding::<Number, _>::new(move |Number(n), from: u64, to| {
        assert_ne!(n, 13, "unlucky");
        log.note(format!("{from}: {to:?} {n} is {}", 2 * n));
        match n % 2 {
            1 => CallResult::Done,
            _ => {
                let wait = Box::pin(async move { assert_ne!(n, 14, "late") });
                CallResult::Responding { wait, to: to.clone(), on_cancel: OnCancel::Drop }
            }
        }
    })
}
