//! Very many groups: every broadcast reaches exactly the members at its moment, and nothing is left of them. These tests
//! have a process of their own, because they measure its memory.
//!
//! `SOCKET_IPC_GROUPS=1 cargo test --release --test groups_many` runs them in full, part of `.ci/long`.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use socket_ipc::{ClientId, Server, Topic};
use support::{Events, soon};
use tokio::io::{AsyncBufReadExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// The tests of this file measure the same memory.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const MIB: usize = 1024 * 1024;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "number"]
struct Number(u64);

/// How much is done.
#[derive(Clone, Copy)]
struct Size {
    groups: usize,
    clients: usize,
    steps: usize,
}

impl Size {
    /// How many members a group has, on average.
    const MEMBERS: usize = 10;

    fn of_this_run() -> Self {
        if std::env::var_os("SOCKET_IPC_GROUPS").is_some() {
            Self { groups: 10_000, clients: 1_000, steps: 1_000_000 }
        } else {
            Self { groups: 500, clients: 50, steps: 20_000 }
        }
    }
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// A sequence of numbers, of which only the length and a hash are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sequence {
    len: u64,
    last: u64,
    hash: u64,
}

impl Sequence {
    fn push(&mut self, number: u64) {
        self.len += 1;
        self.last = number;
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(29);
    }
}

/// Reads all numbers up to the end of the connection.
async fn read(stream: DuplexStream) -> Sequence {
    let mut sequence = Sequence::default();
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let number = line.strip_prefix(r#"{"topic":"number","message":"#).unwrap().strip_suffix('}').unwrap();
        sequence.push(number.parse().unwrap());
    }
    sequence
}

/// A client as it should be.
struct Member {
    id: ClientId,
    groups: Vec<usize>,
    expected: Sequence,
    reader: JoinHandle<Sequence>,
}

/// The server, and what it should know and do.
struct Model {
    server: Server,
    gone: Events<ClientId>,
    clients: Vec<Member>,
    /// For each group the places of its members in `clients`.
    members: Vec<BTreeSet<usize>>,
    random: Rng,
    number: u64,
}

impl Model {
    fn new(size: Size) -> Self {
        let (server, gone) = (Server::new("in memory"), Events::new());
        let report = gone.reporter();
        server.on_connection_close(move |id, _| report(id));
        let members = vec![BTreeSet::new(); size.groups];
        let mut model =
            Self { server, gone, clients: Vec::new(), members, random: Rng::with_seed(5), number: 0 };
        for _ in 0..size.clients {
            let member = model.connect();
            model.clients.push(member);
        }
        model
    }

    fn connect(&self) -> Member {
        let (ours, theirs) = duplex(16 * 1024);
        let id = self.server.serve_connection(ours).unwrap().unwrap();
        let reader = tokio::spawn(read(theirs));
        Member { id, groups: Vec::new(), expected: Sequence::default(), reader }
    }

    fn group(&self, group: usize) -> socket_ipc::ClientGroup {
        self.server.group(format!("group {group}"))
    }

    fn join(&mut self) {
        let (client, group) =
            (self.random.usize(..self.clients.len()), self.random.usize(..self.members.len()));
        assert_eq!(self.group(group).join(self.clients[client].id), Ok(true));
        if self.members[group].insert(client) {
            self.clients[client].groups.push(group);
        }
    }

    fn leave(&mut self) {
        let client = self.random.usize(..self.clients.len());
        let member = &mut self.clients[client];
        if member.groups.is_empty() {
            return;
        }
        let group = member.groups.swap_remove(self.random.usize(..member.groups.len()));
        self.members[group].remove(&client);
        let id = member.id;
        assert!(self.group(group).leave(id));
        assert!(!self.group(group).contains(id));
    }

    /// Broadcasts in every form.
    async fn broadcast(&mut self) {
        self.number += 1;
        let (message, group) = (Number(self.number), self.random.usize(..self.members.len()));
        let except = self.random.usize(..self.clients.len());
        let room = self.group(group);
        let (reached, except) = match self.random.u8(..5) {
            0 => (room.broadcast(&message).unwrap(), None),
            1 => (room.broadcast_except(&message, self.clients[except].id).unwrap(), Some(except)),
            2 => (room.broadcast_async(&message).await.unwrap(), None),
            3 => (room.broadcast_raw("number", &self.number).unwrap(), None),
            _ => {
                let delivery = room.broadcast_latest(&message).unwrap();
                assert_eq!((delivery.deferred, delivery.replaced), (0, 0), "all of them read");
                (delivery.queued, None)
            }
        };
        let mut count = 0;
        for client in self.members[group].iter().filter(|client| Some(**client) != except) {
            self.clients[*client].expected.push(self.number);
            count += 1;
        }
        assert_eq!(reached, count, "group {group}");
    }

    /// Compares the members of a group.
    fn look(&mut self) {
        let group = self.random.usize(..self.members.len());
        let mut members: Vec<_> = self.members[group].iter().map(|client| self.clients[*client].id).collect();
        members.sort();
        assert_eq!(self.group(group).len(), members.len());
        assert_eq!(self.group(group).members(), members);
    }

    /// Ends the connection of a client, which has to have read all that it was sent. Another one takes its place.
    async fn replace(&mut self) {
        let client = self.random.usize(..self.clients.len());
        let next = self.connect();
        let before = std::mem::replace(&mut self.clients[client], next);
        for group in &before.groups {
            self.members[*group].remove(&client);
        }
        self.disconnect(before).await;
    }

    async fn disconnect(&mut self, member: Member) {
        assert!(self.server.disconnect(member.id));
        assert!(member.groups.iter().all(|group| !self.group(*group).contains(member.id)));
        assert_eq!(soon("the end", member.reader).await.unwrap(), member.expected, "client {}", member.id);
        assert_eq!(self.gone.next().await, member.id);
    }

    /// Checks the counts of the server.
    fn check(&self) {
        let stats = self.server.stats();
        let groups = self.members.iter().filter(|members| !members.is_empty()).count();
        let members = self.members.iter().map(BTreeSet::len).sum::<usize>();
        assert_eq!((stats.groups, stats.group_members), (groups as u64, members as u64));
    }
}

support::both_flavours! {
    async fn broadcast_reaches_exactly_the_members_at_its_moment() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let size = Size::of_this_run();
        let mut model = Model::new(size);
        while model.members.iter().map(BTreeSet::len).sum::<usize>() < Size::MEMBERS * size.groups {
            model.join();
        }
        let mut memory = Vec::new();
        for step in 0..size.steps {
            // As many joins as leaves, so that the groups keep their size.
            if model.random.bool() { model.join() } else { model.leave() }
            match model.random.u16(..2_000) {
                0..200 => model.broadcast().await,
                200..220 => model.look(),
                220 => model.replace().await,
                _ => {}
            }
            if step % 64 == 0 {
                tokio::task::yield_now().await;
            }
            if step % (size.steps / 10) == 0 {
                model.check();
                memory.push(resident() / MIB);
            }
        }
        println!("{} broadcasts, MiB: {memory:?}", model.number);
        let (before, after) = (memory[3], memory[9]);
        assert!(after <= before + before / 4 + 4, "the memory grows: {memory:?} MiB");
        for client in std::mem::take(&mut model.clients) {
            client.groups.iter().for_each(|group| model.members[*group].clear());
            model.disconnect(client).await;
        }
        model.members.iter_mut().for_each(BTreeSet::clear);
        model.check();
    }

    async fn million_groups_come_and_go_memory_stays() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let Size { steps, .. } = Size::of_this_run();
        let server = Server::new("in memory");
        let (ours, theirs) = duplex(1024);
        let id = server.serve_connection(ours).unwrap().unwrap();
        let reader = tokio::spawn(read(theirs));
        let come_and_go = async |from: usize| {
            for number in from..from + steps {
                let room = server.group(format!("room {number}, and a name that is rather long"));
                assert_eq!(room.join(id), Ok(true));
                assert_eq!(room.broadcast(&Number(1)).unwrap(), 1);
                assert!(room.leave(id));
                if number % 64 == 0 {
                    assert_eq!(server.stats().groups, 0);
                    tokio::task::yield_now().await;
                }
            }
        };
        come_and_go(0).await;
        let before = resident();
        come_and_go(steps).await;
        let grown = resident().saturating_sub(before);
        println!("{steps} groups, then as many others: {grown} bytes more");
        assert!(grown < 4 * MIB, "{grown} bytes for {steps} groups");
        server.disconnect(id);
        assert_eq!(soon("the end", reader).await.unwrap().len as usize, 2 * steps);
    }
}
