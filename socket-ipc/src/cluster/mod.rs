//! Servers on several machines, joined over NATS. With the feature `nats`.
//!
//! Each machine runs its server for the programs on it. Servers that have joined the same domain, over a
//! [NATS](https://docs.nats.io) server that they all reach, broadcast to the clients of all of them, send to a client of
//! any of them, and reply to each other's requests. [The book](crate::guide::cluster) has what is promised, the subjects
//! and the permissions.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::cluster::{Cluster, ClusterOptions};
//! use socket_ipc::{Server, Topic};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "news"]
//! struct News { text: String }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new("/tmp/myApp.sock");
//! server.listen().await?;
//! let options = ClusterOptions::new("nats://127.0.0.1:4222", "myApp").name("host-a");
//! let cluster = Cluster::join(&server, options).await?;
//! cluster.broadcast(&News { text: "to the clients of every machine".into() })?;
//! # Ok(()) }
//! ```
//!
//! ```text
//!   broadcast ─▶ Outgoing ─▶ publisher ─▶ NATS ─▶ incoming ─▶ clients       D.b.N.TOPIC
//!   to a group ─▶ Outgoing ─▶ publisher ─▶ NATS ─▶ group_receiver ─▶ clients  D.g.N.GROUP.TOPIC
//!   a client's request ─▶ forward ─▶ Pending ─▶ NATS ─▶ offers ─▶ responder  D.q.TOPIC
//!   send, request ─▶ Pending ─▶ NATS ─▶ own_clients ─▶ a client              D.n.N.CLIENT.TOPIC
//!                    Pending ◀─ inbox ◀─ NATS ◀─ Taken                       D.i.N.>
//!     ArrivingStream ◀─ Pending ◀─ NATS ◀─ items ◀─ TakenStream              its items
//! ```

mod arriving_stream;
mod broadcast;
mod client_errors;
mod client_streams;
mod connect;
mod credentials;
mod direct;
mod error;
mod events;
mod file;
mod forward;
mod forward_streams;
mod group;
mod group_counts;
mod group_receiver;
mod group_subscriptions;
mod headers;
mod inbox;
mod incoming;
mod items;
mod join;
mod leave;
mod line;
mod link;
mod members;
mod node;
mod offer_end;
mod offers;
mod options;
mod outgoing;
mod own_clients;
mod pending;
mod publisher;
mod remote_connection;
mod remote_replies;
mod remote_stream;
mod requests;
mod shared;
mod silence;
mod stream;
mod streams;
mod subject;
mod taken;
mod taken_stream;
mod tls;
mod topics;
mod turns;
#[doc(hidden)]
pub mod visitor;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::client_id::ClientId;
use crate::events::stream::EventStream;
use crate::server::ServerHandle;
use crate::sync::lock;
use crate::topic::direction::AnyTopic;

pub use error::{BroadcastError, ClusterError, ForwardError, JoinError, OfferError};
pub use events::ClusterEvent;
pub use group::ClusterGroup;
pub use node::{ClientRef, Node, NodeId, NodeIdError};
pub use options::ClusterOptions;
use shared::Shared;
pub use stream::ClusterStream;
pub use topics::{ForwardedRequests, OfferedTopics};

/// A server's place in a domain: broadcasts to the clients of all nodes, and sends to any of them.
///
/// Cheap to clone. [`leave`](Self::leave) ends it in good order. When the last clone is dropped, the node is gone at
/// once, and the others notice it by its silence. When the server closes, the node leaves.
///
/// On a server of a [protocol](crate::Protocol) it takes the topics of the right direction alone:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic, cluster::Cluster};
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "submit", reply = u64)]
/// struct Submit;
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Submit), to_client(News))]
/// struct Jobs;
///
/// fn use_it(cluster: &Cluster<Jobs>) -> Result<(), Box<dyn std::error::Error>> {
///     cluster.offer::<Submit>()?;
///     cluster.forward::<Submit>()?;
///     cluster.broadcast(&News)?;
///     Ok(())
/// }
/// ```
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic, cluster::Cluster};
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "news", reply = u64)] struct News;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "submit", reply = u64)] struct Submit;
/// # #[derive(Protocol)] #[protocol(to_server(Submit), to_client(News))] struct Jobs;
/// fn use_it(cluster: &Cluster<Jobs>) {
///     let _ = cluster.broadcast(&Submit); // to the server
/// }
/// ```
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic, cluster::Cluster};
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "news", reply = u64)] struct News;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "submit", reply = u64)] struct Submit;
/// # #[derive(Protocol)] #[protocol(to_server(Submit), to_client(News))] struct Jobs;
/// fn use_it(cluster: &Cluster<Jobs>) {
///     let _ = cluster.offer::<News>(); // to the clients
/// }
/// ```
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic, cluster::Cluster};
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "news", reply = u64)] struct News;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "submit", reply = u64)] struct Submit;
/// # #[derive(Protocol)] #[protocol(to_server(Submit), to_client(News))] struct Jobs;
/// fn use_it(cluster: &Cluster<Jobs>) {
///     let _ = cluster.forward::<News>(); // to the clients
/// }
/// ```
pub struct Cluster<P = AnyTopic> {
    shared: Arc<Shared>,
    server: ServerHandle<P>,
    /// Ends the tasks of the node with the last clone.
    owner: Arc<Owner>,
}

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl<P> Cluster<P> {
    /// Returns the id of this node.
    #[must_use]
    pub fn node(&self) -> &NodeId {
        &self.shared.node
    }

    /// Returns the name of a client of this server for the whole domain.
    #[must_use]
    pub fn client_ref(&self, client_id: ClientId) -> ClientRef {
        ClientRef { node: self.shared.node.clone(), client: client_id.get() }
    }

    /// Returns the other nodes that are up.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        lock(&self.shared.members).nodes()
    }

    /// Whether there is a connection to the NATS server.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.shared.link.is_up() && !self.shared.has_left.load(Ordering::Acquire)
    }

    /// Returns what happens in the domain as a bounded stream, from now on.
    ///
    /// It never slows down anything: events that have no room are counted
    /// ([`EventsLagged`](ClusterEvent::EventsLagged)). It ends when the node leaves.
    pub fn events(&self) -> EventStream<ClusterEvent> {
        self.shared.hub.stream()
    }

    /// Makes the responders of this server reply to requests of the whole domain, and its listeners receive messages.
    ///
    /// NATS hands each request to one of the nodes that offer its topic. Only offered topics can be reached from
    /// outside. In a responder the requester has a [`ClientId`] that no local connection ever has, and nothing but
    /// the reply can be sent to it. The other nodes know of the offer a moment later.
    ///
    /// # Errors
    ///
    /// [`OfferError`], where the server has neither responder nor listener for a topic, or the node leaves the domain,
    /// which it also does when its server closes. Then none of the topics is offered.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Server, Topic, cluster::Cluster};
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "add", reply = i64)] struct Add(i64, i64);
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "double", reply = i64)] struct Double(i64);
    /// # fn example(server: &Server, cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    /// server.respond::<Add>(|Add(left, right), _client_id| left + right)?;
    /// server.respond::<Double>(|Double(number), _client_id| 2 * number)?;
    /// cluster.offer::<(Add, Double)>()?;
    /// # Ok(()) }
    /// ```
    pub fn offer<T: OfferedTopics<P>>(&self) -> Result<(), OfferError> {
        let topics = T::names();
        if self.shared.offers.have_ended() {
            return Err(OfferError::Left { topic: topics.concat() });
        }
        if let Some(topic) = topics.iter().find(|topic| !self.server.takes(topic)) {
            return Err(OfferError::NoResponder { topic: (*topic).to_owned() });
        }
        topics.iter().for_each(|topic| offers::offer(&self.shared, topic));
        Ok(())
    }

    /// Makes the nodes that offer a topic reply to the requests of this server's clients, for as long as this server
    /// has no responder of its own for it. Topics with single replies and with streams can be forwarded.
    ///
    /// Typed errors, cancellation and the windows of streams cross. What can go wrong between the nodes is an error reply
    /// with a code: `no_responder` where no node offers the topic, `lost` where the node that has the request is silent or
    /// an item did not arrive, `link_down` where there is no connection to NATS. A request that came from another node is never forwarded.
    ///
    /// # Errors
    ///
    /// [`ForwardError`], where a topic is forwarded already, or the node leaves the domain. The topics before it in a
    /// tuple are forwarded then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use serde::{Deserialize, Serialize};
    /// # use socket_ipc::{Topic, cluster::Cluster, cluster::ForwardError};
    /// # #[derive(Topic, Serialize, Deserialize)] #[topic(name = "add", reply = i64)] struct Add(i64, i64);
    /// # fn example(cluster: &Cluster) -> Result<(), ForwardError> {
    /// cluster.forward::<Add>()
    /// # }
    /// ```
    pub fn forward<T: ForwardedRequests<P>>(&self) -> Result<(), ForwardError> {
        T::attach(&topics::Attaching(&self.shared))
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for Cluster<P> {
    fn clone(&self) -> Self {
        let (shared, owner) = (Arc::clone(&self.shared), Arc::clone(&self.owner));
        Self { shared, server: self.server.clone(), owner }
    }
}

impl<P> fmt::Debug for Cluster<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("node", &self.shared.node)
            .field("is_linked", &self.is_linked())
            .finish_non_exhaustive()
    }
}
