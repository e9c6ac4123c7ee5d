//! The broadcasts of all nodes, and how many of them did not arrive.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::super::events::ClusterEvent;
use super::super::group_receiver::GROUP_BEAT_LEN;
use super::super::incoming::read_beat;
use super::super::members::Members;
use super::super::node::NodeId;
use super::link::{Link, LinkChange};
use super::nodes::LOOK;
use super::{VisitError, Visitor};
use crate::wire::raw_message::RawMessage;
use crate::wire::{EnvelopeKind, Wire};

/// What a visitor receives.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received {
    /// A broadcast of a node.
    Broadcast {
        /// The node.
        node: NodeId,
        /// Its topic.
        topic: String,
        /// The message.
        message: RawMessage<'static>,
    },
    /// Broadcasts of a node did not arrive.
    Lagged {
        /// The node.
        node: NodeId,
        /// How many they are.
        count: u64,
    },
    /// Something that is not what a node sends.
    Refused {
        /// Its subject.
        subject: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The connection to the NATS server was lost. It is made again by itself.
    LinkDown,
    /// Why it can't be made again for now.
    Trouble(String),
    /// It is there again.
    LinkUp,
}

/// The broadcasts of all nodes.
pub struct Broadcasts<'v> {
    visitor: &'v Visitor,
    topic: Option<String>,
    /// It receives what is broadcast to this group, and not what is broadcast to all.
    group: Option<Arc<str>>,
    messages: Subscriber,
    link: Link,
    members: Members,
    /// Looks for nodes that give no sign of life, which need not be remembered.
    look: tokio::time::Interval,
    waiting: VecDeque<Received>,
}

impl Visitor {
    /// Receives the broadcasts of all nodes from now on; with a topic, of that one alone, and without a count of those
    /// that did not arrive.
    pub async fn broadcasts(&self, topic: Option<&str>) -> Result<Broadcasts<'_>, VisitError> {
        let subject = match topic {
            None => self.subjects.broadcasts(),
            Some(topic) => self.subjects.broadcasts_of(topic),
        };
        self.receiving(subject, topic.map(str::to_owned), None).await
    }

    /// Receives what all nodes broadcast to a group from now on. A count of those that did not arrive begins with the
    /// first one that a node tells.
    pub async fn group_broadcasts(&self, group: &str) -> Result<Broadcasts<'_>, VisitError> {
        self.receiving(self.subjects.group(group), None, Some(group.into())).await
    }

    async fn receiving(
        &self,
        subject: String,
        topic: Option<String>,
        group: Option<Arc<str>>,
    ) -> Result<Broadcasts<'_>, VisitError> {
        Ok(Broadcasts {
            visitor: self,
            topic,
            group,
            messages: self.subscribe(subject).await?,
            link: Link::new(self.state.clone()),
            members: Members::default(),
            look: tokio::time::interval(LOOK),
            waiting: VecDeque::new(),
        })
    }
}

impl Broadcasts<'_> {
    /// Waits for what comes next.
    pub async fn next(&mut self) -> Result<Received, VisitError> {
        loop {
            if let Some(received) = self.waiting.pop_front() {
                return Ok(received);
            }
            tokio::select! {
                biased;
                change = self.link.changed() => return Ok(match change? {
                    LinkChange::Down => Received::LinkDown,
                    LinkChange::Up => Received::LinkUp,
                    LinkChange::Trouble(reason) => Received::Trouble(reason),
                }),
                message = self.messages.next() => match message {
                    Some(message) => self.take(&message),
                    None => return Err(VisitError::LinkDown),
                },
                _ = self.look.tick() => {
                    if self.link.is_down() {
                        self.members.excuse_all(Instant::now());
                    }
                    self.members.take_silent(Instant::now(), self.visitor.silence);
                }
            }
        }
    }

    fn take(&mut self, message: &Message) {
        let read = match self.group.clone() {
            None => self.read(message),
            Some(group) => self.read_group(message, &group),
        };
        if let Err(reason) = read {
            let subject = message.subject.to_string();
            self.waiting.push_back(Received::Refused { subject, reason });
        }
    }

    fn read(&mut self, message: &Message) -> Result<(), String> {
        let (node, topic) = self
            .visitor
            .subjects
            .read_broadcast(&message.subject)
            .ok_or_else(|| "it names no node".to_owned())?;
        let known = self.members.sign(&node, Instant::now());
        let Some(topic) = topic else {
            known.map_err(|no_room| no_room.to_string())?;
            let beat = read_beat(&message.payload)?;
            let is_goodbye = beat.goodbye;
            if let Some(ClusterEvent::Lagged { node, count }) = self.members.beat(&node, beat) {
                self.waiting.push_back(Received::Lagged { node, count });
            }
            if is_goodbye {
                self.members.goodbye(&node);
            }
            return Ok(());
        };
        if self.topic.as_ref().is_some_and(|wanted| *wanted != topic) {
            return Ok(());
        }
        let count = self.read_lines(message, &node, &topic);
        self.members.received(&node, count);
        Ok(())
    }

    fn read_group(&mut self, message: &Message, group: &Arc<str>) -> Result<(), String> {
        let subjects = &self.visitor.subjects;
        let (node, _, topic) =
            subjects.read_group(&message.subject).ok_or("it names no node and topic of the group")?;
        let Some(topic) = topic else {
            if message.payload.len() > GROUP_BEAT_LEN {
                return Err(format!("it is a count of {} bytes", message.payload.len()));
            }
            self.members.sign(&node, Instant::now()).map_err(|no_room| no_room.to_string())?;
            let beat = serde_json::from_slice(&message.payload);
            let beat = beat.map_err(|error| format!("it is no count: {error}"))?;
            if let Some(ClusterEvent::GroupLagged { node, count, .. }) =
                self.members.group_beat(&node, group, beat, None)
            {
                self.waiting.push_back(Received::Lagged { node, count });
            }
            return Ok(());
        };
        let count = self.read_lines(message, &node, &topic);
        self.members.group_received(&node, group, count);
        Ok(())
    }

    /// Takes the messages of a broadcast, one a line, and returns how many they are.
    fn read_lines(&mut self, message: &Message, node: &NodeId, topic: &str) -> u64 {
        let before = self.waiting.len();
        let lines = message.payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        self.waiting.extend(lines.map(|line| match read_line(topic, line) {
            Ok(message) => Received::Broadcast { node: node.clone(), topic: topic.to_owned(), message },
            Err(reason) => Received::Refused { subject: message.subject.to_string(), reason },
        }));
        (self.waiting.len() - before) as u64
    }
}

/// The message in a line of a broadcast of this topic.
fn read_line(topic: &str, line: &[u8]) -> Result<RawMessage<'static>, String> {
    let envelope =
        Wire::JSON_LINES.decode(line).map_err(|error| format!("a line is no envelope: {error}"))?;
    if envelope.topic != topic || envelope.kind != EnvelopeKind::Message {
        return Err("a line is no plain message of its topic".to_owned());
    }
    Ok(envelope.message.into_owned())
}

impl fmt::Debug for Broadcasts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcasts").field("topic", &self.topic).finish_non_exhaustive()
    }
}
