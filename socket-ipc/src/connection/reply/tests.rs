//! Replies to an outbox without a session.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::connection::outbox::OutboxBudget;
use crate::connection::session::walk::fake::Fake;
use crate::connection::{EndpointState, Limits};
use crate::limits::OUTBOX_HIGH_WATER;
use crate::metrics::Metrics;

#[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "add", reply = String)]
struct Add;

const TOPIC: TopicName<'static> = TopicName::OfType("add");

/// The outbox of a connection, and its endpoint.
struct Scene {
    endpoint: Arc<Fake>,
    outbox: Arc<Outbox>,
    to: ReplyTo,
}

impl Scene {
    fn new(limit: usize, total: usize) -> Self {
        let outbox = Arc::new(Outbox::new(limit, OutboxBudget::new(total), Metrics::new()));
        let limits = Limits { max_message_len: 3 * OUTBOX_HIGH_WATER, ..Limits::default() };
        Self { endpoint: Fake::new(limits, &outbox), outbox, to: ReplyTo::Request(7.into()) }
    }

    /// The length of the line of a reply of this text.
    fn len(&self, text: &str) -> usize {
        let mut line = Vec::new();
        self.endpoint.limits().wire.encode("add", &text, &mut line).unwrap();
        line.len() + ",\"re\":7".len()
    }

    fn reply_or_hold(&self, text: &str) -> Option<WaitingReply<'_>> {
        reply_or_hold::<Add>(&*self.endpoint, &self.outbox, &self.to, TOPIC, &Ok(text.to_owned()))
    }

    fn reply_within(&self, text: &str) -> Result<(), NotReplied> {
        let outcome = Outcome::<_, ErrorReply>::Reply(&text);
        reply_within(&*self.endpoint, &self.outbox, &self.to, TOPIC, outcome)
    }

    /// What is queued, which is written by that.
    fn written(&self) -> String {
        let mut bytes = Vec::new();
        while let Some(segment) = self.outbox.take() {
            bytes.extend_from_slice(segment.bytes());
            self.outbox.written(&segment, segment.bytes().len(), true);
        }
        String::from_utf8(bytes).unwrap()
    }
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn reply_or_hold_waits_only_without_room_in_an_outbox_that_goes_on() {
    let scene = Scene::new(100, usize::MAX);
    assert!(scene.reply_or_hold("first").is_none(), "it is queued at once");
    let waiting = scene.reply_or_hold(&"second".repeat(10)).expect("it has no room");
    let mut waiting = pin!(waiting.queue(&*scene.endpoint));
    assert!(poll(waiting.as_mut()).is_pending());
    let written = scene.written();
    assert!(written.contains("first") && !written.contains("second"), "{written}");
    assert!(poll(waiting).is_ready());
    assert!(scene.written().contains("second"));
    // With room, without room, and with both an outbox that is about to end.
    for texts in [&["a"][..], &["b", &"c".repeat(100)]] {
        let scene = Scene::new(100, usize::MAX);
        scene.outbox.end();
        for text in texts {
            assert!(scene.reply_or_hold(text).is_none());
        }
        let written = scene.written();
        assert!(texts.iter().all(|text| written.contains(&format!("\"{text}\""))), "{written}");
    }
}

#[test]
fn reply_or_hold_too_many_waiting_replies_names_the_limit_that_is_used_up() {
    let scene = Scene::new(100, usize::MAX);
    assert!(scene.reply_or_hold("first").is_none());
    let text = "x".repeat(500);
    let waiting = scene.reply_or_hold(&text).expect("one may wait, however long it is");
    assert!(scene.reply_or_hold(&text).is_none());
    let written = scene.written();
    assert!(written.contains("`outbox_len`") && written.contains(&format!("{} bytes", scene.len(&text))));
    drop(waiting);
    let scene = Scene::new(usize::MAX, 3 * OUTBOX_HIGH_WATER);
    let text = "x".repeat(2 * OUTBOX_HIGH_WATER);
    assert!(scene.reply_or_hold(&text).is_none() && scene.reply_or_hold(&text).is_none());
    let written = scene.written();
    assert!(written.contains("`outbox_total_len`"), "{}", &written[written.len() - 300..]);
}

#[test]
fn reply_within_without_room_says_what_is_full() {
    let scene = Scene::new(100, usize::MAX);
    let (first, second) = ("a", "b".repeat(90));
    assert!(scene.reply_within(first).is_ok());
    let Err(NotReplied::Full { size, queued, limit: 100 }) = scene.reply_within(&second) else { panic!() };
    assert_eq!((size, queued), (scene.len(&second), scene.len(first)));
    assert_eq!(scene.written().len(), queued, "only the first is queued");
    scene.outbox.break_off();
    assert!(matches!(scene.reply_within(first), Err(NotReplied::Closed)));
    assert_eq!(scene.written(), "");
    let scene = Scene::new(usize::MAX, 3 * OUTBOX_HIGH_WATER);
    let long = "x".repeat(2 * OUTBOX_HIGH_WATER);
    assert!(scene.reply_within(&long).is_ok());
    let Err(NotReplied::Full { size, queued, limit }) = scene.reply_within(&long) else { panic!() };
    assert_eq!((size, queued, limit), (scene.len(&long), scene.len(&long), 3 * OUTBOX_HIGH_WATER));
}

#[test]
fn reply_within_too_long_is_unsendable_unless_there_is_no_room_for_its_error_either() {
    let scene = Scene::new(400, usize::MAX);
    let too_long = "x".repeat(4 * OUTBOX_HIGH_WATER);
    assert!(matches!(scene.reply_within(&too_long), Err(NotReplied::Unsendable(SendError::TooLarge { .. }))));
    assert!(scene.written().contains("\"error\":true"));
    assert!(scene.reply_within(&"a".repeat(300)).is_ok());
    assert!(matches!(scene.reply_within(&too_long), Err(NotReplied::Full { .. })));
    scene.outbox.break_off();
    assert!(matches!(scene.reply_within(&too_long), Err(NotReplied::Closed)));
}

#[test]
fn reply_with_room_waits_for_room_and_an_ending_outbox_takes_it_at_once() {
    let scene = Scene::new(100, usize::MAX);
    let outcome = |text: &str| Ok(text.to_owned());
    let reply =
        |text: &str| reply_with_room::<Add>(&*scene.endpoint, &scene.outbox, &scene.to, TOPIC, outcome(text));
    assert!(matches!(poll(pin!(reply("first"))), Poll::Ready(None)));
    let second = "b".repeat(90);
    let mut waiting = pin!(reply(&second));
    assert!(poll(waiting.as_mut()).is_pending());
    assert!(scene.written().contains("first"));
    assert!(matches!(poll(waiting), Poll::Ready(None)));
    let third = "c".repeat(90);
    let mut waiting = pin!(reply(&third));
    assert!(poll(waiting.as_mut()).is_pending());
    scene.outbox.end();
    assert!(matches!(poll(waiting), Poll::Ready(None)));
    let written = scene.written();
    assert!(written.contains(&second) && written.contains(&third), "{written}");
    let too_long = "x".repeat(4 * OUTBOX_HIGH_WATER);
    assert!(matches!(poll(pin!(reply(&too_long))), Poll::Ready(Some(SendError::TooLarge { .. }))));
    assert!(scene.written().contains("\"error\":true"));
}

#[test]
fn reply_error_without_room_for_its_data_keeps_its_text_and_without_that_its_code() {
    let scene = Scene::new(usize::MAX, usize::MAX);
    let too_long = "x".repeat(4 * OUTBOX_HIGH_WATER);
    let reply = |outcome: Outcome<'_, (), String>| {
        reply(&*scene.endpoint, &scene.outbox, &scene.to, TOPIC, outcome);
        scene.written()
    };
    let written = reply(Outcome::Error(&too_long, "no disk".to_owned()));
    assert!(written.contains("\"text\":\"no disk (sent without its data: "), "{written}");
    let written = reply(Outcome::Error(&too_long, String::new()));
    assert!(written.contains("\"text\":\"") && !written.contains("sent without"), "{written}");
    let written = reply(Outcome::Error(&too_long, too_long.clone()));
    assert!(written.contains("over the limit of") && !written.contains("sent without"), "{written}");
    let written = reply(Outcome::ErrorReply(&ErrorReply::new("busy", too_long.clone())));
    assert!(written.contains("\"code\":\"busy\",\"text\":\"\""), "{written}");
}
