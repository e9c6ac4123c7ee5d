//! The nodes of the domain, by their beats alone: a visitor sends nothing for it.

use std::fmt;
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::super::incoming::read_beat;
use super::super::members::Members;
use super::super::node::{Node, NodeId};
use super::link::{Link, LinkChange};
use super::{VisitError, Visitor};

/// How often nodes that are silent are looked for.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// What a visitor sees of the nodes.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeChange {
    /// A node is there, and says this of itself.
    Beat(Node),
    /// A node said goodbye, or gave no sign of life for the silence limit.
    Down(NodeId),
    /// Something that is no beat, or of a node for which there is no room.
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

/// The nodes of the domain, as they give signs of life.
pub struct Nodes<'v> {
    visitor: &'v Visitor,
    beats: Subscriber,
    link: Link,
    members: Members,
    silent: Vec<NodeId>,
    look: tokio::time::Interval,
}

impl Visitor {
    /// Watches the beats of the nodes from now on.
    pub async fn nodes(&self) -> Result<Nodes<'_>, VisitError> {
        Ok(Nodes {
            visitor: self,
            beats: self.subscribe(self.subjects.beats()).await?,
            link: Link::new(self.state.clone()),
            members: Members::default(),
            silent: Vec::new(),
            look: tokio::time::interval(LOOK),
        })
    }
}

impl Nodes<'_> {
    /// Waits for what comes next.
    pub async fn next(&mut self) -> Result<NodeChange, VisitError> {
        loop {
            if let Some(node) = self.silent.pop() {
                return Ok(NodeChange::Down(node));
            }
            tokio::select! {
                biased;
                change = self.link.changed() => return Ok(match change? {
                    LinkChange::Down => NodeChange::LinkDown,
                    LinkChange::Up => NodeChange::LinkUp,
                    LinkChange::Trouble(reason) => NodeChange::Trouble(reason),
                }),
                beat = self.beats.next() => {
                    let beat = beat.ok_or(VisitError::LinkDown)?;
                    return Ok(self.take(&beat).unwrap_or_else(|reason| {
                        NodeChange::Refused { subject: beat.subject.to_string(), reason }
                    }));
                }
                _ = self.look.tick() => {
                    if self.link.is_down() {
                        self.members.excuse_all(Instant::now());
                    }
                    self.silent = self.members.take_silent(Instant::now(), self.visitor.silence);
                }
            }
        }
    }

    fn take(&mut self, message: &async_nats::Message) -> Result<NodeChange, String> {
        let node = match self.visitor.subjects.read_broadcast(&message.subject) {
            Some((node, None)) => node,
            _ => return Err("it names no node".to_owned()),
        };
        let beat = read_beat(&message.payload)?;
        self.members.sign(&node, Instant::now()).map_err(|no_room| no_room.to_string())?;
        let is_goodbye = beat.goodbye;
        self.members.beat(&node, beat);
        let up = self.members.node(&node);
        if is_goodbye {
            self.members.goodbye(&node);
        }
        Ok(match up {
            Some(up) if !is_goodbye => NodeChange::Beat(up),
            _ => NodeChange::Down(node),
        })
    }
}

impl fmt::Debug for Nodes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nodes").finish_non_exhaustive()
    }
}
