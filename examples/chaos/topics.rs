//! What nodes and clients say to each other.

use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{ClientRef, NodeId};
use socket_ipc::{Topic, TopicSet};

/// The groups that the steady clients are members of.
pub const ROOMS: usize = 4;

/// The group whose members come and go.
pub const PASSING: usize = ROOMS;

/// The name of a group by its number.
pub fn room(number: usize) -> String {
    format!("room {number}")
}

/// A broadcast to all clients.
#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "news"]
pub struct News {
    pub node: NodeId,
    /// Counts all broadcasts of the node.
    pub number: u64,
    /// Counts those that left for the other nodes.
    pub left: u64,
    /// A client of the node, to reach.
    pub who: Option<ClientRef>,
    pub text: String,
}

/// A message to a group.
#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "said"]
pub struct Said {
    pub node: NodeId,
    pub room: usize,
    /// Counts all messages of the node to the group.
    pub number: u64,
    /// Counts those that left for the other nodes.
    pub left: u64,
    pub text: String,
}

/// The first message to a client: its number at its node.
#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "you"]
pub struct You(pub u64);

/// A message to one client.
#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "told"]
pub struct Told {
    pub node: NodeId,
    pub to: ClientRef,
    /// Counts all messages of the node to clients.
    pub number: u64,
}

/// What a server knows of the other nodes, told to its own clients behind everything that it had delivered by then.
#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "sample"]
pub struct Sample {
    pub node: NodeId,
    pub others: Vec<Known>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Known {
    pub node: NodeId,
    /// The number of its last beat: so many broadcasts have left there.
    pub broadcasts: u64,
    /// How many of them were told as lost, in all.
    pub lagged: u64,
}

/// Nothing to the rooms is on its way: what had been sent, and what of it was told as lost here, in all.
#[derive(Debug, Topic, Serialize, Deserialize)]
#[topic = "calm"]
pub struct Calm {
    pub node: NodeId,
    pub sent: Vec<(NodeId, Vec<u64>)>,
    pub lagged: Vec<(NodeId, Vec<u64>)>,
}

/// What a client listens to.
#[derive(Debug, TopicSet)]
pub enum FromNode {
    You(You),
    News(News),
    Said(Said),
    Told(Told),
    Sample(Sample),
    Calm(Calm),
}

/// A client wants to be a member of rooms. The reply says whether it is, on all nodes.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "join", reply = bool)]
pub struct Join {
    pub rooms: Vec<usize>,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "depart", reply = bool)]
pub struct Depart {
    pub room: usize,
}

/// Two of the nodes respond to it.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "near", reply = u64)]
pub struct Near {
    pub number: u64,
    pub millis: u64,
}

/// The third node responds to it.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "far", reply = u64)]
pub struct Far {
    pub number: u64,
    pub millis: u64,
}

#[derive(Clone, Topic, Serialize, Deserialize)]
#[topic(name = "near_items", stream = Item)]
pub struct NearItems {
    pub count: u64,
    pub millis: u64,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "far_items", stream = Item)]
pub struct FarItems {
    pub count: u64,
    pub millis: u64,
}

#[derive(Serialize, Deserialize)]
pub struct Item {
    pub number: u64,
    pub text: String,
}

/// Has the node request something of a client of any node.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "reach", reply = Reached)]
pub struct Reach {
    pub client: ClientRef,
    pub number: u64,
    /// A stream of so many items; a single reply where there is none.
    pub items: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub enum Reached {
    Replied,
    Items(u64),
    /// An error by its name.
    Failed(String),
    Broken(String),
}

/// A client responds to it.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "echo", reply = u64)]
pub struct Echo(pub u64);

/// A client responds to it.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "lines", stream = Item)]
pub struct Lines {
    pub count: u64,
}
