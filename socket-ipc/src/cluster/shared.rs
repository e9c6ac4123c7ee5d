//! What the handle of a node and its tasks share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::events::Hub;
use super::group_counts::SentGroups;
use super::group_subscriptions::GroupSubscriptions;
use super::leave::Goodbye;
use super::link::Link;
use super::members::Members;
use super::node::NodeId;
use super::offers::Offers;
use super::outgoing::Outgoing;
use super::pending::Pending;
use super::subject::Subjects;
use super::taken::Taken;
use crate::listener::ListenerId;
use crate::server::ServerHandle;

/// How much of `max_payload` is left for headers, which count for it.
const HEADERS_LEN: usize = 256;

pub(super) struct Shared {
    pub(super) server: ServerHandle,
    pub(super) nats: async_nats::Client,
    pub(super) node: NodeId,
    pub(super) subjects: Subjects,
    pub(super) silence: Duration,
    pub(super) incoming_len: usize,
    pub(super) accepts_foreign_inboxes: bool,
    pub(super) link: Arc<Link>,
    pub(super) hub: Arc<Hub>,
    pub(super) pending: Arc<Pending>,
    pub(super) members: Mutex<Members>,
    pub(super) outgoing: Outgoing,
    pub(super) taken: Taken,
    pub(super) offers: Arc<Offers>,
    /// How many broadcasts to all clients were published.
    pub(super) sequence: AtomicU64,
    /// What was broadcast to groups.
    pub(super) sent_groups: Mutex<SentGroups>,
    /// The groups that have members on this node.
    pub(super) groups: Arc<GroupSubscriptions>,
    /// Tells the publisher to send a beat.
    pub(super) beat_now: Notify,
    /// Leaving has begun: nothing new begins.
    pub(super) leaving: AtomicBool,
    pub(super) has_left: AtomicBool,
    pub(super) goodbye: Goodbye,
    /// The responders that forward.
    pub(super) forwarders: Mutex<Vec<ListenerId>>,
    pub(super) runtime: Handle,
    pub(super) tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    /// The longest payload that the NATS server takes.
    pub(super) fn max_payload(&self) -> usize {
        max_payload(&self.nats)
    }
}

/// The longest payload beside headers that the NATS server takes.
pub(super) fn max_payload(nats: &async_nats::Client) -> usize {
    nats.max_payload().saturating_sub(HEADERS_LEN)
}
