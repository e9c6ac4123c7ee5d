//! Joins, leaves and ends of connections on two threads, beside broadcasts on a third one.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use fastrand::Rng;
use socket_ipc::{ClientGroup, ClientId, Server, ServerHandle};
use support::soon;
use tokio::io::duplex;
use tokio::task::JoinHandle;

use super::{Number, ONE_AT_A_TIME, Size, read};

/// How many threads have clients join and leave.
const THREADS: usize = 2;

/// How far the broadcasts are.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// One membership of a client in a group, as numbers of broadcasts.
#[derive(Debug)]
struct Membership {
    group: usize,
    /// Those that began after the join had returned and ended before the leave was called. It gets all of the group's.
    surely: (u64, u64),
    /// Those that ended after the join was called and began before the leave had returned. It gets no others.
    perhaps: (u64, u64),
}

/// A client, and all its memberships so far.
struct Connection {
    id: ClientId,
    reader: JoinHandle<Vec<u64>>,
    /// The groups it is in, with no end yet.
    current: Vec<Membership>,
    ended: Vec<Membership>,
}

/// A thread that has its clients join and leave at random.
struct Toggler<'t> {
    server: &'t ServerHandle,
    progress: &'t Progress,
    size: Size,
    random: Rng,
    clients: Vec<Connection>,
    gone: Vec<Connection>,
}

fn group(server: &ServerHandle, group: usize) -> ClientGroup {
    server.group(format!("group {group}"))
}

/// The group that this number is broadcast to.
fn group_of(number: u64, size: Size) -> usize {
    Rng::with_seed(number).usize(..size.groups)
}

impl Connection {
    fn new(server: &ServerHandle) -> Self {
        let (ours, theirs) = duplex(16 * 1024);
        let id = server.serve_connection(ours).unwrap().unwrap();
        let reader = tokio::spawn(async move {
            let mut numbers = Vec::new();
            read(theirs, |number| numbers.push(number)).await;
            numbers
        });
        Self { id, reader, current: Vec::new(), ended: Vec::new() }
    }

    /// Checks what the client was sent. Returns how many messages it had to get.
    async fn check(self, numbers: &[Vec<u64>], size: Size) -> usize {
        let received = soon("the end", self.reader).await.unwrap();
        assert!(received.is_sorted_by(|one, next| one < next), "each once, in order");
        let mut sure = 0;
        for membership in &self.ended {
            let (from, to) = membership.surely;
            for number in numbers[membership.group].iter().filter(|number| (from..to).contains(number)) {
                assert!(received.binary_search(number).is_ok(), "{number}: {membership:?}");
                sure += 1;
            }
        }
        for number in received {
            let group = group_of(number, size);
            let allows = |&Membership { perhaps: (from, to), .. }: &_| (from..to).contains(&number);
            let mut memberships = self.ended.iter().filter(|membership| membership.group == group);
            assert!(memberships.any(allows), "{number} of group {group} to client {}", self.id);
        }
        sure
    }
}

impl Toggler<'_> {
    fn join(&mut self) {
        let at = self.random.usize(..self.clients.len());
        let (client, number) = (&mut self.clients[at], self.random.usize(..self.size.groups));
        if client.current.iter().any(|membership| membership.group == number) {
            return;
        }
        let from_perhaps = self.progress.ended.load(SeqCst);
        assert_eq!(group(self.server, number).join(client.id), Ok(true));
        let from_surely = self.progress.begun.load(SeqCst);
        client.current.push(Membership {
            group: number,
            surely: (from_surely, 0),
            perhaps: (from_perhaps, 0),
        });
    }

    fn leave(&mut self) {
        let client = self.random.usize(..self.clients.len());
        let client = &mut self.clients[client];
        if client.current.is_empty() {
            return;
        }
        let mut membership = client.current.swap_remove(self.random.usize(..client.current.len()));
        membership.surely.1 = self.progress.ended.load(SeqCst);
        assert!(group(self.server, membership.group).leave(client.id));
        membership.perhaps.1 = self.progress.begun.load(SeqCst);
        client.ended.push(membership);
    }

    /// Ends the connection of a client.
    fn disconnect(&mut self, mut client: Connection) {
        let to_surely = self.progress.ended.load(SeqCst);
        assert!(self.server.disconnect(client.id));
        let to_perhaps = self.progress.begun.load(SeqCst);
        for mut membership in std::mem::take(&mut client.current) {
            (membership.surely.1, membership.perhaps.1) = (to_surely, to_perhaps);
            client.ended.push(membership);
        }
        self.gone.push(client);
    }

    fn run(mut self, broadcasts: u64) -> Vec<Connection> {
        let steps = self.size.steps / THREADS;
        for step in 0..steps {
            // No faster than the broadcasts, so that both go on to the end.
            while self.progress.ended.load(SeqCst) < broadcasts * step as u64 / steps as u64 {
                thread::yield_now();
            }
            if self.random.bool() {
                self.join()
            } else {
                self.leave()
            }
            if self.random.u16(..2_000) == 0 {
                let client = self.random.usize(..self.clients.len());
                let next = Connection::new(self.server);
                let before = std::mem::replace(&mut self.clients[client], next);
                self.disconnect(before);
            }
        }
        while self.progress.ended.load(SeqCst) < broadcasts {
            thread::yield_now();
        }
        for client in std::mem::take(&mut self.clients) {
            self.disconnect(client);
        }
        self.gone
    }
}

/// Everything at once, on threads of its own. Returns all connections, which have ended.
fn toggle_and_broadcast(server: &ServerHandle, size: Size, broadcasts: u64) -> Vec<Connection> {
    let (runtime, progress) = (tokio::runtime::Handle::current(), Progress::default());
    thread::scope(|scope| {
        let mut togglers = Vec::new();
        for seed in 0..THREADS {
            let connections = std::iter::repeat_with(|| Connection::new(server)).take(size.clients / THREADS);
            let (random, clients) = (Rng::with_seed(seed as u64), connections.collect());
            let mut toggler =
                Toggler { server, progress: &progress, size, random, clients, gone: Vec::new() };
            for _ in 0..Size::MEMBERS * size.groups / THREADS {
                toggler.join();
            }
            let runtime = &runtime;
            togglers.push(scope.spawn(move || {
                let _inside = runtime.enter();
                toggler.run(broadcasts)
            }));
        }
        for number in 0..broadcasts {
            progress.begun.store(number + 1, SeqCst);
            group(server, group_of(number, size)).broadcast(&Number(number)).unwrap();
            progress.ended.store(number + 1, SeqCst);
        }
        togglers.into_iter().flat_map(|toggler| toggler.join().unwrap()).collect()
    })
}

support::both_flavours! {
    async fn broadcast_beside_joins_of_many_groups_reaches_exactly_the_members() {
        let _alone = ONE_AT_A_TIME.lock().await;
        let size = Size::of_this_run();
        let broadcasts = size.steps as u64 / 10;
        let server = Server::new("in memory");
        let handle = server.handle();
        let running = tokio::task::spawn_blocking(move || toggle_and_broadcast(&handle, size, broadcasts));
        let connections = running.await.unwrap();
        let mut numbers = vec![Vec::new(); size.groups];
        for number in 0..broadcasts {
            numbers[group_of(number, size)].push(number);
        }
        let (count, mut sure) = (connections.len(), 0);
        assert!(count > size.clients, "connections ended meanwhile");
        for connection in connections {
            sure += connection.check(&numbers, size).await;
        }
        server.close().await;
        let stats = server.stats();
        assert_eq!((stats.groups, stats.group_members), (0, 0));
        println!("{count} connections had to get {sure} messages of {} queued", stats.sent.messages);
        assert!(sure as u64 > broadcasts, "most members are there for long");
    }
}
