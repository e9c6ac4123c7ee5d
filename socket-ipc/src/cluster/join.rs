//! How a server joins a domain.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::connect::{self, Echo};
use super::error::JoinError;
use super::events::{ClusterEvent, Hub};
use super::group_counts::{MAX_COUNTED, SentGroups};
use super::group_subscriptions::GroupSubscriptions;
use super::incoming::Queue;
use super::leave::Goodbye;
use super::link::Link;
use super::members::Members;
use super::node::NodeId;
use super::offers::Offers;
use super::options::ClusterOptions;
use super::outgoing::Outgoing;
use super::pending::{Control, Pending};
use super::requests::Sent;
use super::shared::Shared;
use super::subject::Subjects;
use super::taken::Taken;
use super::{Cluster, Owner, group_receiver, inbox, incoming, own_clients, publisher, silence};
use crate::events::stream::EventStream;
use crate::server::{ServerHandle, WatchGroups};

/// How long the NATS server may take to reply for the first time.
const FIRST_REPLY: Duration = Duration::from_secs(5);

/// How often the NATS server is asked where it does not reply.
const AGAIN: Duration = Duration::from_millis(50);

/// How many times groups that are confirmed may wait for their place in the order of what arrived.
const PLACED: usize = 64;

/// What a node is subscribed to.
struct Subscriptions {
    broadcasts: Subscriber,
    own_clients: Subscriber,
    inbox: Subscriber,
}

impl<P> Cluster<P> {
    /// Joins a domain. Once this resolves, the NATS server has accepted what the node subscribes to.
    ///
    /// # Errors
    ///
    /// - [`JoinError::Name`], [`JoinError::NoUrl`], [`JoinError::CredentialsInUrl`]: the options.
    /// - [`JoinError::File`]: a credentials file or a certificate that can't be used.
    /// - [`JoinError::Closed`]: the server closes, or is closed.
    /// - [`JoinError::Connect`]: no NATS server can be reached, or it does not let this node in.
    /// - [`JoinError::Refused`], [`JoinError::Timeout`]: it lacks a permission, or the server does not reply.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, on which the node then runs.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it resolves, the server has not joined.
    pub async fn join(server: &ServerHandle<P>, options: ClusterOptions) -> Result<Self, JoinError> {
        options.check()?;
        let closed = || JoinError::Closed { domain: options.domain.clone(), path: server.path().to_owned() };
        if server.is_closing() {
            return Err(closed());
        }
        let node = NodeId::new(&options.name, fastrand::u64(..));
        let (pending, controls) = Pending::new(options.max_requests);
        let (link, hub, offers) = (Arc::new(Link::new()), Arc::new(Hub::default()), Arc::<Offers>::default());
        let groups = Arc::<GroupSubscriptions>::default();
        let mut problems = hub.stream();
        let on_event = {
            let (link, pending) = (Arc::clone(&link), Arc::clone(&pending));
            let (hub, offers, groups) = (Arc::clone(&hub), Arc::clone(&offers), Arc::clone(&groups));
            move |event: &async_nats::Event| link.on_event(event, &pending, &offers, &groups, &hub)
        };
        let nats = connect::connect(&options, &node, Echo::No, on_event)
            .await
            .map_err(|error| error.of_join(&options))?;
        let shared = Arc::new(Shared {
            server: server.untyped(),
            nats,
            subjects: Subjects::new(&options.domain, node.clone()),
            node,
            silence: options.silence,
            incoming_len: options.incoming_len,
            accepts_foreign_inboxes: options.accepts_foreign_inboxes,
            link,
            hub,
            pending,
            members: Mutex::new(Members::default()),
            outgoing: Outgoing::new(options.outgoing_len),
            taken: Taken::default(),
            offers,
            sequence: AtomicU64::new(0),
            sent_groups: Mutex::new(SentGroups::new(MAX_COUNTED)),
            groups,
            beat_now: Notify::new(),
            leaving: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            goodbye: Goodbye::default(),
            forwarders: Mutex::default(),
            runtime: Handle::current(),
            tasks: Mutex::default(),
        });
        // From here on, dropping it ends what has begun.
        let owner = Arc::new(Owner(Arc::clone(&shared)));
        let subscriptions = shared.subscribe().await.map_err(|reason| refused(&options, reason))?;
        shared.start(subscriptions, controls);
        let checked = shared.check(&options, &mut problems).await;
        if server.is_closing() {
            return Err(closed());
        }
        checked?;
        Ok(Self { shared, server: server.clone(), owner })
    }
}

fn refused(options: &ClusterOptions, reason: String) -> JoinError {
    JoinError::Refused { domain: options.domain.clone(), urls: options.urls.join(", "), reason }
}

impl Shared {
    async fn subscribe(&self) -> Result<Subscriptions, String> {
        let subscribe =
            async |subject: String| self.nats.subscribe(subject).await.map_err(|error| error.to_string());
        Ok(Subscriptions {
            broadcasts: subscribe(self.subjects.broadcasts()).await?,
            own_clients: subscribe(self.subjects.own_clients()).await?,
            inbox: subscribe(self.subjects.own_inbox()).await?,
        })
    }

    /// Starts the tasks of the node.
    fn start(self: &Arc<Self>, subscriptions: Subscriptions, controls: mpsc::UnboundedReceiver<Control>) {
        let Subscriptions { broadcasts, own_clients, inbox } = subscriptions;
        let shared = || Arc::clone(self);
        let (to_publish, to_receive, to_serve, to_settle) = (shared(), shared(), shared(), shared());
        self.spawn(async move { publisher::run(&to_publish, controls).await });
        let (queue, (placed, to_place)) = (Queue::start(self), mpsc::channel(PLACED));
        let (to_follow, for_groups) = (shared(), queue.clone());
        self.spawn(async move { group_receiver::run(&to_follow, &for_groups, &placed).await });
        let groups: Arc<dyn WatchGroups> = Arc::<GroupSubscriptions>::clone(&self.groups);
        self.server.watch_groups(&groups);
        self.spawn(async move { incoming::run(&to_receive, broadcasts, &queue, to_place).await });
        self.spawn(async move { own_clients::run(&to_serve, own_clients).await });
        self.spawn(async move { inbox::run(&to_settle, inbox).await });
        let (signing, looking, closing) = (shared(), shared(), shared());
        self.spawn(async move { publisher::give_signs(&signing).await });
        self.spawn(async move { silence::run(&looking).await });
        self.spawn(async move {
            closing.server.closing().await;
            // From now on the server takes nothing that another node could have.
            closing.offers.end();
            closing.server.closed().await;
            closing.leave().await;
        });
    }

    /// Waits until the NATS server has seen the subscriptions: after that, it replies to a request that nobody
    /// subscribes to. If it rejects a subscription, it says so before it replies.
    async fn check(
        &self,
        options: &ClusterOptions,
        problems: &mut EventStream<ClusterEvent>,
    ) -> Result<(), JoinError> {
        let round_trips = async {
            self.publish_beat(false).await;
            // The reply and an error come over two channels. Once the second reply is here, so is the error.
            for _ in 0..2 {
                match self.probe().await {
                    Sent::Nobody => {}
                    Sent::Lost { .. } => return self.check_from_outside(options).await,
                    Sent::LinkDown => return Err(Some("the connection was lost".to_owned())),
                    _ => return Err(Some("an unexpected reply".to_owned())),
                }
            }
            Ok(())
        };
        let problem = async {
            loop {
                match problems.next().await {
                    Some(ClusterEvent::Error(reason)) => return reason,
                    Some(_) => {}
                    // The node has left, as its server closes: the round trips say so.
                    None => std::future::pending().await,
                }
            }
        };
        let outcome = tokio::select! {
            biased;
            reason = problem => Err(Some(reason)),
            outcome = tokio::time::timeout(FIRST_REPLY, round_trips) => outcome.unwrap_or(Err(None)),
        };
        outcome.map_err(|reason| match reason {
            Some(reason) => refused(options, reason),
            None => JoinError::Timeout {
                domain: options.domain.clone(),
                urls: options.urls.join(", "),
                timeout: FIRST_REPLY,
            },
        })
    }

    /// The same, where a program that subscribes to the whole domain has taken the request, so that the NATS server says
    /// nothing: another connection waits for what this one publishes behind its subscriptions.
    async fn check_from_outside(&self, options: &ClusterOptions) -> Result<(), Option<String>> {
        let watcher = connect::connect(options, &self.node, Echo::Yes, |_| {}).await;
        let watcher = watcher.map_err(|error| Some(error.of_join(options).to_string()))?;
        // The number of no request.
        let subject = self.subjects.reply(0, 0);
        let arrived = watcher.subscribe(subject.clone()).await;
        let mut arrived = arrived.map_err(|error| Some(error.to_string()))?;
        loop {
            // The first ones may come before the subscription of the other connection.
            let published = self.nats.publish(subject.clone(), "null".into()).await;
            published.map_err(|error| Some(error.to_string()))?;
            if let Ok(Some(_)) = tokio::time::timeout(AGAIN, arrived.next()).await {
                return Ok(());
            }
        }
    }
}
