//! What a node was told of the others: its events, added up, beside what it says of them by itself.

use std::collections::HashMap;

use futures::FutureExt as _;
use serde::{Deserialize, Serialize};
use socket_ipc::EventStream;
use socket_ipc::cluster::{Cluster, ClusterEvent, NodeId};

use super::topics::{Calm, Known, ROOMS, Sample, room};

/// For how many samples in a row the events may be other than what the node says.
const PATIENCE: u32 = 50;

pub struct Sampler {
    pub events: EventStream<ClusterEvent>,
    told: HashMap<NodeId, Told>,
}

/// What was told of one node.
#[derive(Default)]
struct Told {
    /// Broadcasts to all that were lost.
    lagged: u64,
    /// Messages to each room that were lost.
    rooms: HashMap<String, u64>,
    /// The last beat, and how many others there were before.
    beat: u64,
    beats: u64,
    /// For how many samples the events have not added up.
    differs: u32,
}

/// Another node, as this one sees it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    pub node: NodeId,
    /// The number of its last beat: so many broadcasts to all had left.
    pub broadcasts: u64,
    /// How many beats with other numbers than the ones before came.
    pub beats: u64,
}

impl Sampler {
    pub fn new(cluster: &Cluster) -> Self {
        Self { events: cluster.events(), told: HashMap::new() }
    }

    pub fn note(&mut self, event: ClusterEvent) {
        match event {
            ClusterEvent::Lagged { node, count } => self.told.entry(node).or_default().lagged += count,
            ClusterEvent::GroupLagged { node, group, count } => {
                *self.told.entry(node).or_default().rooms.entry(group).or_default() += count;
            }
            ClusterEvent::NodeUp(_) | ClusterEvent::NodeDown(_) => {}
            ClusterEvent::LinkUp | ClusterEvent::LinkDown | ClusterEvent::Error(_) => {}
            event => println!("broken {event:?}"),
        }
    }

    /// Notes the events that are there.
    fn note_all(&mut self) {
        while let Some(Some(event)) = self.events.next().now_or_never() {
            self.note(event);
        }
    }

    /// What is known of the others. Where an event of the last beat is still on its way, the node is left out.
    pub fn sample(&mut self, cluster: &Cluster) -> Sample {
        let (nodes, mut others) = (cluster.nodes(), Vec::new());
        self.note_all();
        for node in nodes {
            let told = self.told.entry(node.id.clone()).or_default();
            let sum = told.lagged + told.rooms.values().sum::<u64>();
            if sum != node.lagged {
                told.differs += 1;
                if told.differs == PATIENCE {
                    println!("broken events tell of {sum} lost of {}, the node of {}", node.id, node.lagged);
                }
                continue;
            }
            told.differs = 0;
            if told.beat != node.broadcasts {
                (told.beat, told.beats) = (node.broadcasts, told.beats + 1);
            }
            others.push(Known { node: node.id, broadcasts: node.broadcasts, lagged: told.lagged });
        }
        Sample { node: cluster.node().clone(), others }
    }

    /// What of the messages to the rooms was told as lost.
    pub fn calm(&mut self, cluster: &Cluster, sent: Vec<(NodeId, Vec<u64>)>) -> Calm {
        self.note_all();
        let lagged = |told: &Told| {
            (0..ROOMS).map(|number| told.rooms.get(&room(number)).copied().unwrap_or_default()).collect()
        };
        let lagged = self.told.iter().map(|(node, told)| (node.clone(), lagged(told))).collect();
        Calm { node: cluster.node().clone(), sent, lagged }
    }

    pub fn seen(&self, cluster: &Cluster) -> Vec<Seen> {
        let beats = |node: &NodeId| self.told.get(node).map_or(0, |told| told.beats);
        cluster
            .nodes()
            .into_iter()
            .map(|node| Seen { beats: beats(&node.id), broadcasts: node.broadcasts, node: node.id })
            .collect()
    }
}
