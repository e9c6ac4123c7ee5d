//! A model of groups in one task, which knows the members at the moment of every broadcast.

use std::collections::BTreeSet;

use fastrand::Rng;
use socket_ipc::{ClientId, Server};
use support::{Events, soon};
use tokio::io::duplex;
use tokio::task::JoinHandle;

use super::{MIB, Number, Size, read, resident};

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

/// A client as it should be.
struct Member {
    id: ClientId,
    groups: Vec<usize>,
    expected: Sequence,
    reader: JoinHandle<Sequence>,
}

/// The server, and what it should know and do.
pub(super) struct Model {
    server: Server,
    gone: Events<ClientId>,
    clients: Vec<Member>,
    /// For each group the places of its members in `clients`.
    members: Vec<BTreeSet<usize>>,
    random: Rng,
    /// That of the last broadcast.
    pub(super) number: u64,
}

impl Model {
    pub(super) fn new(size: Size) -> Self {
        let (server, gone) = (Server::new("in memory"), Events::new());
        let report = gone.reporter();
        server.on_connection_close(move |id, _| report(id));
        let members = vec![BTreeSet::new(); size.groups];
        Self { server, gone, clients: Vec::new(), members, random: Rng::with_seed(5), number: 0 }
    }

    fn connect(&self) -> Member {
        let (ours, theirs) = duplex(16 * 1024);
        let id = self.server.serve_connection(ours).unwrap().unwrap();
        let reader = tokio::spawn(async move {
            let mut sequence = Sequence::default();
            read(theirs, |number| sequence.push(number)).await;
            sequence
        });
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

    /// Clients connect, join and leave at random beside broadcasts and ends of connections, and are disconnected. Returns
    /// the memory at each tenth of it, in MiB.
    pub(super) async fn round(&mut self, size: Size) -> Vec<usize> {
        self.clients = std::iter::repeat_with(|| self.connect()).take(size.clients).collect();
        while self.members.iter().map(BTreeSet::len).sum::<usize>() < Size::MEMBERS * size.groups {
            self.join();
        }
        let mut memory = Vec::new();
        for step in 0..size.steps {
            // As many joins as leaves, so that the groups keep their size.
            if self.random.bool() {
                self.join()
            } else {
                self.leave()
            }
            match self.random.u16(..2_000) {
                0..200 => self.broadcast().await,
                200..220 => self.look(),
                220 => self.replace().await,
                _ => {}
            }
            if step % 64 == 0 {
                tokio::task::yield_now().await;
            }
            if step % (size.steps / 10) == 0 {
                self.check();
                memory.push(resident() / MIB);
            }
        }
        for client in std::mem::take(&mut self.clients) {
            client.groups.iter().for_each(|group| self.members[*group].clear());
            self.disconnect(client).await;
        }
        self.members.iter_mut().for_each(BTreeSet::clear);
        self.check();
        memory
    }
}
