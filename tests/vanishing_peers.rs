//! Peers that go at any moment, with responders and listeners running for them: nothing of them remains.

use std::collections::HashMap;
use std::future::pending;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientId, CloseCause, Server, Topic};
use support::{DEADLINE, Events, Place, RawPeer, soon, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// A request that never gets a reply.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "never", reply = Never)]
struct Forever;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "no reply"]
struct Never;

/// A message for a listener that yields once.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "moment"]
struct Moment;

const REQUEST: &[u8] = b"{\"topic\":\"never\",\"message\":null,\"id\":1}\n";
const MOMENT: &[u8] = b"{\"topic\":\"moment\",\"message\":null}\n";
/// How many peers connect to a server at once. Their connections end up to a second later.
const AT_A_TIME: usize = 1_000;
/// How many clients meet random servers at once. A connection ends up to a second after its server is gone.
const CLIENTS: usize = 64;

/// Counts the running responders, which never end.
#[derive(Clone, Default)]
struct Running(Arc<AtomicUsize>);

struct Run(Running);

impl Running {
    fn run(&self) -> Run {
        self.0.fetch_add(1, Ordering::SeqCst);
        Run(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    async fn become_count(&self, count: usize) {
        soon("the responders", async {
            while self.count() != count {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn never(run: Run) -> Never {
    pending::<()>().await;
    drop(run);
    Never
}

/// A server with a limit of responders for a connection, none of which ends.
async fn server(place: &Place, max_requests: usize) -> (Server, Running, Events<(ClientId, CloseCause)>) {
    let server = Server::builder(place.socket()).max_requests(max_requests).build();
    let (running, events) = (Running::default(), Events::new());
    let (report, counted) = (events.reporter(), running.clone());
    server.on_connection_close(move |client, reason| report((client, reason.cause.clone())));
    server.respond_async::<Forever>(move |_, _| never(counted.run())).unwrap();
    server.on_async::<Moment>(|_, _| tokio::task::yield_now());
    server.listen().await.unwrap();
    (server, running, events)
}

support::both_flavours! {
    async fn server_peer_gone_behind_full_responders_connection_ends() {
        for limit in 1..=3 {
            let place = Place::new();
            let (server, running, mut closed) = server(&place, limit).await;
            for requests in [limit, limit + 1, limit + 20] {
                let mut peer = RawPeer::connect(place.socket()).await;
                peer.write(REQUEST.repeat(requests)).await;
                running.become_count(limit).await;
                drop(peer);
                closed.next().await;
                assert_eq!((running.count(), server.clients().len()), (0, 0));
            }
        }
    }

    async fn server_peer_half_closed_then_gone_connection_ends() {
        let place = Place::new();
        let (_server, running, mut closed) = server(&place, 2).await;
        for requests in 1..=3 {
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write(REQUEST.repeat(requests)).await;
            peer.stream.shutdown().await.unwrap();
            running.become_count(requests.min(2)).await;
            assert!(closed.rest().is_empty(), "it still waits for its replies");
            drop(peer);
            assert!(matches!(closed.next().await, (_, CloseCause::PeerClosed)));
            assert_eq!(running.count(), 0);
        }
    }

    async fn server_peer_gone_beyond_read_ahead_connection_ends() {
        let place = Place::new();
        let (_server, running, mut closed) = server(&place, 1).await;
        for half_closes in [false, true] {
            let mut peer = RawPeer::connect(place.socket()).await;
            peer.write(REQUEST).await;
            // As much as the server reads ahead and the socket takes.
            let flood = MOMENT.repeat(256 * 1024);
            let mut written = 0;
            let stuck = Duration::from_millis(500);
            while let Ok(count) = tokio::time::timeout(stuck, peer.stream.write(&flood[written..])).await {
                written += count.unwrap();
            }
            assert!(written > 1024 * 1024, "{written} bytes were taken");
            if half_closes {
                peer.stream.shutdown().await.unwrap();
            }
            assert_eq!(running.count(), 1);
            drop(peer);
            closed.next().await;
            assert_eq!(running.count(), 0);
        }
    }

    async fn client_server_gone_behind_full_responders_reconnects() {
        for limit in 1..=3 {
            let place = Place::new();
            let listener = UnixListener::bind(place.socket()).unwrap();
            let client = Client::builder(place.socket()).max_requests(limit).build();
            let (running, mut lost) = (Running::default(), Events::new());
            let (report, counted) = (lost.reporter(), running.clone());
            client.on_disconnect(move |reason| report(reason.cause.clone()));
            client.respond_async::<Forever>(move |_| never(counted.run())).unwrap();
            let (connected, accepted) = tokio::join!(client.connect(), listener.accept());
            connected.unwrap();
            let mut peer = RawPeer::over(accepted.unwrap().0);
            for half_closes in [false, true, false] {
                peer.write(REQUEST.repeat(limit + 5)).await;
                running.become_count(limit).await;
                if half_closes {
                    peer.stream.shutdown().await.unwrap();
                }
                drop(peer);
                assert!(matches!(lost.next().await, CloseCause::PeerClosed));
                assert_eq!(running.count(), 0);
                peer = RawPeer::over(soon("another connection", listener.accept()).await.unwrap().0);
            }
        }
    }

    async fn server_random_peers_leave_nothing_behind() {
        for limit in 1..=3 {
            let place = Place::new();
            let (server, running, mut closed) = server(&place, limit).await;
            let path = place.socket();
            let connect = move || {
                let path = path.clone();
                async move { UnixStream::connect(path).await.unwrap() }
            };
            let before = (tasks(), descriptors());
            let count = peers(900) / 3;
            let mut ended = HashMap::new();
            // Fewer at a time than `max_clients`: a client too many would end without an event.
            for first in (0..count).step_by(AT_A_TIME) {
                let numbers = first..count.min(first + AT_A_TIME);
                crowd(numbers.clone(), &connect).await;
                for _ in numbers {
                    let (client, cause) = closed.next_within(6 * DEADLINE).await;
                    *ended.entry(client).or_insert(0) += 1;
                    assert!(!matches!(cause, CloseCause::Io(_)), "{cause}");
                }
            }
            assert!(ended.into_values().all(|times| times == 1), "each close is reported once");
            assert_eq!((running.count(), server.clients().len(), server.stats().outbox_len), (0, 0, 0));
            // The last task ends a moment after its event.
            soon("the end of the tasks", async {
                while tasks() > before.0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert!(descriptors() <= before.1, "{:?} of {before:?}", descriptors());
        }
    }

    async fn client_random_servers_leave_nothing_behind() {
        for limit in 1..=3 {
            let before = (tasks(), descriptors());
            let mut clients = JoinSet::new();
            let count = peers(192) / 3;
            let share = count.div_ceil(CLIENTS);
            for first in (0..count).step_by(share) {
                clients.spawn(client_of_random_servers(limit, first..count.min(first + share)));
            }
            while let Some(client) = clients.join_next().await {
                client.unwrap();
            }
            // The last task ends a moment after its client is dropped.
            soon("the end of the tasks", async {
                while tasks() > before.0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert!(descriptors() <= before.1, "{:?} of {before:?}", descriptors());
        }
    }
}

/// A client whose servers come and go, one after the other. The number of a server decides what it does.
async fn client_of_random_servers(limit: usize, numbers: Range<usize>) {
    let place = Place::new();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let short = Duration::from_millis(1);
    let client = Client::builder(place.socket()).max_requests(limit).reconnect_delay(short).build();
    let (running, mut lost) = (Running::default(), Events::new());
    let (report, counted) = (lost.reporter(), running.clone());
    client.on_disconnect(move |_| report(()));
    client.respond_async::<Forever>(move |_| never(counted.run())).unwrap();
    client.on_async::<Moment>(|_| tokio::task::yield_now());
    let servers = numbers.clone();
    let serving = tokio::spawn(async move {
        for number in servers {
            let (stream, _) = within("a connection", 6 * DEADLINE, listener.accept()).await.unwrap();
            misbehave(stream, fastrand::Rng::with_seed(number as u64)).await;
        }
        listener
    });
    soon("a connection", client.connect()).await.unwrap();
    for _ in numbers {
        lost.next_within(6 * DEADLINE).await;
    }
    let _listener = serving.await.unwrap();
    assert_eq!((running.count(), client.stats().outbox_len), (0, 0));
}

/// How many peers come and go in a test. The environment variable `SOCKET_IPC_PEERS` sets another number, for a run on
/// one thread.
fn peers(default: usize) -> usize {
    std::env::var("SOCKET_IPC_PEERS").map_or(default, |peers| peers.parse().unwrap())
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// The descriptors of the process, where no other test runs.
fn descriptors() -> Option<usize> {
    std::env::var_os("SOCKET_IPC_PEERS")?;
    Some(std::fs::read_dir("/proc/self/fd").unwrap().count())
}

/// Runs peers that come and go, 32 at a time. The number of a peer decides what it does.
async fn crowd<C>(numbers: Range<usize>, connect: impl Fn() -> C)
where
    C: Future<Output = UnixStream> + Send + 'static,
{
    let mut peers = JoinSet::new();
    for number in numbers {
        if peers.len() == 32 {
            soon("the end of a peer", peers.join_next()).await.unwrap().unwrap();
        }
        let connecting = connect();
        peers.spawn(async move {
            misbehave(connecting.await, fastrand::Rng::with_seed(number as u64)).await;
        });
    }
    while let Some(peer) = within("the end of a peer", 6 * DEADLINE, peers.join_next()).await {
        peer.unwrap();
    }
}

/// A peer that does a few things at random, and is gone.
async fn misbehave(mut stream: UnixStream, mut random: fastrand::Rng) {
    for _ in 0..random.usize(..6) {
        // The connection may have ended, or the server may not read.
        let written = match random.u8(..8) {
            0 | 1 => write_some(&mut stream, &REQUEST.repeat(random.usize(1..5))).await,
            2 => write_some(&mut stream, MOMENT).await,
            3 => write_some(&mut stream, &MOMENT.repeat(random.usize(..40_000))).await,
            4 => write_some(&mut stream, &REQUEST[..random.usize(1..REQUEST.len())]).await,
            5 => stream.shutdown().await.is_ok(),
            6 => {
                let mut bytes = [0; 64];
                let _ = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut bytes)).await;
                true
            }
            _ => {
                for byte in REQUEST {
                    write_some(&mut stream, &[*byte]).await;
                }
                true
            }
        };
        if !written || random.u8(..3) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Writes for at most 2 ms. Returns whether all was written.
async fn write_some(stream: &mut UnixStream, bytes: &[u8]) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(2), stream.write_all(bytes)).await, Ok(Ok(())))
}
