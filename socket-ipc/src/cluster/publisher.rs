//! Publishes what this node has to say: broadcasts, beats, replies, signs of life, cancels.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{HeaderMap, Subject};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::group_counts::GroupBeat;
use super::headers::{self, ErrorFrom};
use super::members::{BEAT_LEN, Beat};
use super::outgoing::Batch;
use super::pending::{Control, Says};
use super::shared::Shared;
use crate::error::error_reply::ErrorReply;
use crate::sync::lock;

/// How often a node says that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(1);

/// Publishes the broadcasts and the beats, in one task: the number in a beat is that of the broadcasts before it. Ends
/// with the goodbye.
pub(super) async fn run(shared: &Shared, mut controls: mpsc::UnboundedReceiver<Control>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = beats.tick() => {
                shared.publish_beat(false).await;
                shared.publish_group_beats().await;
            }
            () = shared.beat_now.notified() => shared.publish_beat(false).await,
            Some(control) = controls.recv() => shared.publish_control(control).await,
            batch = shared.outgoing.next() => shared.publish_batch(batch).await,
            () = shared.goodbye.now.notified() => break,
        }
    }
    shared.publish_group_beats().await;
    shared.publish_beat(true).await;
    shared.flush().await;
    shared.goodbye.said.notify_one();
}

impl Shared {
    /// Waits until the bytes of what was published are written.
    async fn flush(&self) {
        if let Some(Err(error)) = self.link.while_up(self.nats.flush()).await {
            tracing::debug!(%error, "could not flush to NATS");
        }
    }

    /// Publishes, unless there is no connection.
    pub(super) async fn publish(&self, subject: Subject, headers: Option<HeaderMap>, payload: Vec<u8>) {
        let publish = async {
            match headers {
                None => self.nats.publish(subject, payload.into()).await,
                Some(headers) => self.nats.publish_with_headers(subject, headers, payload.into()).await,
            }
        };
        if let Some(Err(error)) = self.link.while_up(publish).await {
            tracing::warn!(%error, "could not publish to NATS");
        }
    }

    async fn publish_control(&self, Control { to, says }: Control) {
        match says {
            Says::Cancel => self.publish(to, Some(headers::cancel()), Vec::new()).await,
            Says::More(limit) => {
                self.publish(to, Some(headers::more()), limit.to_string().into_bytes()).await;
            }
        }
    }

    /// Publishes a batch of broadcasts. Those that leave while there is no connection count as sent: the other nodes
    /// are told how many they have missed.
    pub(super) async fn publish_batch(&self, batch: Batch) {
        let subject = match &batch.group {
            None => {
                self.sequence.fetch_add(batch.count, Ordering::AcqRel);
                self.subjects.broadcast(&batch.topic)
            }
            Some(group) => {
                let made_room = lock(&self.sent_groups).add(group, batch.count);
                if let Some((group, beat)) = made_room {
                    self.publish_group_beat(&group, beat).await;
                }
                self.subjects.group_broadcast(group, &batch.topic)
            }
        };
        self.publish(subject.into(), None, batch.lines).await;
        // What is queued until the bytes are written becomes the next batch.
        self.flush().await;
    }

    /// Tells the nodes that are subscribed to a group how much was sent to it.
    async fn publish_group_beats(&self) {
        let due = lock(&self.sent_groups).take_due();
        for (group, beat) in due {
            self.publish_group_beat(&group, beat).await;
        }
    }

    async fn publish_group_beat(&self, group: &str, beat: GroupBeat) {
        let Ok(payload) = serde_json::to_vec(&beat) else { return };
        self.publish(self.subjects.group_beat(group).into(), None, payload).await;
    }

    pub(super) async fn publish_beat(&self, goodbye: bool) {
        let mut beat = Beat {
            number: lock(&self.sent_groups).next_beat(),
            sequence: self.sequence.load(Ordering::Acquire),
            clients: self.server.client_count() as u64,
            offers: self.offers.topics(),
            lag: lock(&self.members).lag(),
            goodbye,
        };
        let Ok(mut payload) = serde_json::to_vec(&beat) else { return };
        if payload.len() > BEAT_LEN.min(self.nats.max_payload()) {
            // A list without room is left out: that the node is there matters more.
            beat.offers.clear();
            let Ok(shorter) = serde_json::to_vec(&beat) else { return };
            payload = shorter;
        }
        self.publish(self.subjects.beat().into(), None, payload).await;
    }

    /// Publishes the reply to a request.
    pub(super) async fn reply(&self, reply: Subject, payload: Vec<u8>) {
        let (len, limit) = (payload.len(), self.max_payload());
        if len > limit {
            let text = format!(
                "a reply of {len} bytes is over the {limit} that the NATS server's `max_payload` leaves for it"
            );
            return self.reply_error(reply, &ErrorReply::new(ErrorReply::FAILED, text)).await;
        }
        self.publish(reply, None, payload).await;
    }

    pub(super) async fn reply_error(&self, reply: Subject, error: &ErrorReply) {
        self.reply_error_from(ErrorFrom::Responder, reply, error).await;
    }

    pub(super) async fn reply_error_from(&self, from: ErrorFrom, reply: Subject, error: &ErrorReply) {
        self.publish_error(headers::error(from, None), reply, error).await;
    }

    pub(super) async fn publish_error(&self, headers: HeaderMap, reply: Subject, error: &ErrorReply) {
        let fits = |payload: &Vec<u8>| payload.len() <= self.max_payload();
        let payload = serde_json::to_vec(error).ok().filter(fits);
        let payload = payload.or_else(|| serde_json::to_vec(&error.clone().code_only()).ok());
        self.publish(reply, Some(headers), payload.unwrap_or_default()).await;
    }

    /// Says that a request is being worked on, and where its requester may cancel it. `next` is the number of the next
    /// item of a stream that has begun.
    pub(super) async fn publish_sign(&self, number: u64, reply: Subject, next: Option<u64>) {
        let (control, headers) = (self.subjects.control(number), headers::working(next));
        let publish = self.nats.publish_with_reply_and_headers(reply, control, headers, Vec::new().into());
        let _ = self.link.while_up(publish).await;
    }
}

/// Gives the signs of life of the requests that this node has taken, and ends those that nobody would cancel.
pub(super) async fn give_signs(shared: &Shared) {
    loop {
        let due = shared.taken.due().await;
        for (number, reply, next) in due.signs {
            shared.publish_sign(number, reply, next).await;
        }
        for (number, requester) in due.overdue {
            if shared.is_up(requester.as_ref()) {
                // It had given no sign of life when the request came.
                shared.taken.keep(number);
            } else if let Some(reply) = shared.taken.cancel(number) {
                let (timeout, what) = (shared.server.limits().request_timeout, reply.stream.as_ref());
                let what = what.map_or("no reply", |_| "the requester of the stream has not said `more`");
                let text = format!("{what} within {timeout:?}, the `request_timeout` of the server");
                shared.end_with(reply, &ErrorReply::new(ErrorReply::FAILED, text)).await;
            }
        }
    }
}
