//! What one client has received on one connection, and whether that is what the nodes say.
//!
//! A server tells its clients what it knows behind everything that it has delivered by then. So a client that has a
//! sample knows what of the broadcasts before a beat has arrived, and how much of it its server was told as lost: the
//! two make up what was sent, exactly.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use socket_ipc::cluster::NodeId;

use super::tally::{LOST, Tally};
use super::topics::{Calm, FromNode, Known, News, PASSING, ROOMS, Said, Sample, Told, You};

pub struct Ledger {
    /// The client, for reports.
    who: String,
    /// The rooms that it is a member of, always or now and then.
    rooms: Vec<usize>,
    /// The node of this connection, once it is known.
    node: Option<NodeId>,
    /// The number of the client there, once it is known.
    number: Option<u64>,
    senders: HashMap<NodeId, Sender>,
    tally: Arc<Tally>,
}

/// What came from one node.
#[derive(Default)]
struct Sender {
    news: Numbers,
    told: u64,
    rooms: [Numbers; ROOMS + 1],
    /// The numbers of the broadcasts that arrived, and are not compared yet.
    arrived: VecDeque<u64>,
    /// The first beat that this client was told of. It may have come before the connection.
    first: Option<u64>,
    /// What was compared last: a beat, and what was told as lost by then.
    compared: Option<(u64, u64)>,
    /// For each room: what was sent, arrived, and was told as lost, when everything was calm.
    calm: Option<[[u64; 3]; ROOMS]>,
}

/// The numbers of what came last.
#[derive(Default)]
struct Numbers {
    number: u64,
    left: u64,
    count: u64,
}

impl Numbers {
    /// Notes what arrived. `Err` says what is wrong with it.
    fn note(&mut self, number: u64, left: u64, is_own: Option<bool>) -> Result<(), String> {
        let (before, left_before) = (self.number, self.left);
        (self.number, self.left) = (number, left);
        self.count += 1;
        match () {
            () if before == 0 => Ok(()),
            () if number == before => Err(format!("{number} came twice")),
            () if number < before => Err(format!("{number} came behind {before}")),
            () if is_own == Some(true) && number != before + 1 => {
                Err(format!("{number} came behind {before}: a gap"))
            }
            () if is_own == Some(false) && left <= left_before => {
                Err(format!("{left} left, and before {left_before}"))
            }
            () => Ok(()),
        }
    }
}

impl Ledger {
    pub fn new(who: String, rooms: Vec<usize>, tally: Arc<Tally>) -> Self {
        Self { who, rooms, node: None, number: None, senders: HashMap::new(), tally }
    }

    /// There is a new connection.
    pub fn begin(&mut self) {
        self.senders.clear();
        (self.node, self.number) = (None, None);
    }

    pub fn receive(&mut self, message: FromNode) {
        match message {
            FromNode::You(You(number)) => self.is_called(number),
            FromNode::News(news) => self.news(&news),
            FromNode::Said(said) => self.said(&said),
            FromNode::Told(told) => self.told(&told),
            FromNode::Sample(Sample { node, others }) => {
                self.node = Some(node);
                others.iter().for_each(|known| self.compare(known));
            }
            FromNode::Calm(calm) => self.calm(&calm),
        }
    }

    /// Whether a node is the one of this connection, once that is known.
    pub fn is_own(&self, node: &NodeId) -> Option<bool> {
        self.node.as_ref().map(|own| own == node)
    }

    /// Somebody names the client by this number at its node. All have to name the same.
    fn is_called(&mut self, number: u64) {
        let own = *self.number.get_or_insert(number);
        if number != own {
            self.tally.broke(format!("{}: what is for client {number} came to client {own}", self.who));
        }
    }

    fn broke(&self, node: &NodeId, what: &str) {
        let Self { who, node: own, .. } = self;
        self.tally.broke(format!("{who} at {own:?}, from {node}: {what}"));
    }

    fn news(&mut self, News { node, number, left, .. }: &News) {
        let is_own = self.is_own(node);
        let sender = self.senders.entry(node.clone()).or_default();
        let noted = sender.news.note(*number, *left, is_own);
        if is_own != Some(true) {
            sender.arrived.push_back(*left);
        }
        self.tally.add(&format!("broadcasts received, of {}", whose(is_own)), 1);
        if let Err(what) = noted {
            self.broke(node, &format!("broadcast {what}"));
        }
    }

    fn said(&mut self, Said { node, room, number, left, .. }: &Said) {
        let is_own = self.is_own(node);
        let sender = self.senders.entry(node.clone()).or_default();
        let Some(numbers) = sender.rooms.get_mut(*room).filter(|_| self.rooms.contains(room)) else {
            return self.broke(node, &format!("message to room {room}, of which it is no member"));
        };
        // A client that comes and goes misses what is said meanwhile.
        let noted = numbers.note(*number, *left, is_own.filter(|_| *room != PASSING));
        self.tally.add(&format!("messages to groups received, of {}", whose(is_own)), 1);
        if let Err(what) = noted {
            self.broke(node, &format!("message to room {room} {what}"));
        }
    }

    fn told(&mut self, Told { node, to, number }: &Told) {
        self.is_called(to.client);
        if self.is_own(&to.node) == Some(false) {
            self.broke(node, &format!("message {number} to one client was for {to:?}"));
        }
        let sender = self.senders.entry(node.clone()).or_default();
        let before = std::mem::replace(&mut sender.told, *number);
        self.tally.add("messages to one client received", 1);
        if *number <= before {
            self.broke(node, &format!("message {number} to one client came behind {before}"));
        }
    }

    /// Compares the broadcasts before a beat.
    fn compare(&mut self, Known { node, broadcasts, lagged }: &Known) {
        let sender = self.senders.entry(node.clone()).or_default();
        let first = *sender.first.get_or_insert(*broadcasts);
        if *broadcasts == first && sender.compared.is_none() {
            return;
        }
        let before_beat = sender.arrived.iter().take_while(|left| *left <= broadcasts).count();
        sender.arrived.drain(..before_beat);
        let Some((beat, told)) = sender.compared.replace((*broadcasts, *lagged)) else { return };
        let (sent, arrived, told) = (broadcasts - beat, before_beat as u64, lagged - told);
        self.tally.add("broadcasts compared with beats", sent);
        if arrived + told != sent {
            return self.broke(
                node,
                &format!("{sent} broadcasts sent behind {beat}, {arrived} arrived, {told} told as lost"),
            );
        }
        self.tally.add("broadcasts told as lost, exactly", told);
        self.tally.add(LOST, told);
    }

    /// Compares the messages to the rooms of this client.
    fn calm(&mut self, Calm { node: own, sent, lagged }: &Calm) {
        for (node, sent) in sent.iter().filter(|(node, _)| node != own) {
            let lagged = lagged.iter().find(|(other, _)| other == node).map(|(_, lagged)| lagged);
            let sender = self.senders.entry(node.clone()).or_default();
            let of = |counts: &[u64], room: usize| counts.get(room).copied().unwrap_or_default();
            let now = std::array::from_fn(|room| {
                let lagged = lagged.map_or(0, |lagged| of(lagged, room));
                [of(sent, room), sender.rooms[room].count, lagged]
            });
            let Some(before) = sender.calm.replace(now) else { continue };
            for room in self.rooms.iter().copied().filter(|room| *room != PASSING) {
                let [sent, arrived, told] =
                    std::array::from_fn(|index| now[room][index] - before[room][index]);
                self.tally.add("messages to groups compared", sent);
                if arrived + told == sent {
                    self.tally.add("messages to groups told as lost, exactly", told);
                    self.tally.add(LOST, told);
                    continue;
                }
                self.broke(
                    node,
                    &format!("{sent} messages to room {room}, {arrived} arrived, {told} told as lost"),
                );
            }
        }
    }
}

fn whose(is_own: Option<bool>) -> &'static str {
    match is_own {
        Some(true) => "the own node",
        Some(false) => "other nodes",
        None => "a node, before the own one is known",
    }
}
