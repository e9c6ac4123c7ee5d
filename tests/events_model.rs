//! A model of `events` of both ends: servers that come and go, clients that come and go, readers of every speed, and
//! messages at random. Each loop keeps what it has seen, and at the end the views are compared.
//!
//! `SOCKET_IPC_EVENTS_SEED=7` runs one seed again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::limits::SUBSCRIPTION_LEN;
use socket_ipc::{
    Client, ClientEvent, ClientHandle, ClientId, CloseCause, Server, ServerEvent, ServerHandle, Subscription,
    Topic, TopicSet,
};
use support::{Place, within};

/// Two topics in each direction, so that their order matters.
#[derive(Topic, Serialize, Deserialize, Debug, Clone, Copy)]
#[topic = "even"]
struct Even(Numbered);

#[derive(Topic, Serialize, Deserialize, Debug, Clone, Copy)]
#[topic = "odd"]
struct Odd(Numbered);

/// What a message says: which server it is from, whom it is for or from, and its number, from 0 on.
#[derive(Serialize, Deserialize, Debug, Clone, Copy)]
struct Numbered {
    server: u64,
    peer: u64,
    number: u64,
}

#[derive(TopicSet, Debug)]
enum Either {
    Even(Even),
    Odd(Odd),
}

impl Either {
    fn numbered(&self) -> Numbered {
        match self {
            Self::Even(Even(numbered)) | Self::Odd(Odd(numbered)) => *numbered,
        }
    }
}

/// Sends a message under the topic of its number, and says whether it was queued.
macro_rules! send {
    ($to:expr, $numbered:expr $(, $id:expr)?) => {{
        let numbered = $numbered;
        match numbered.number % 2 {
            0 => $to.send(&Even(numbered) $(, $id)?).is_ok(),
            _ => $to.send(&Odd(numbered) $(, $id)?).is_ok(),
        }
    }};
}

/// A connection, as one end has seen it.
#[derive(Debug, Default, Clone)]
struct Seen {
    /// The messages that were sent to the peer.
    sent: u64,
    /// The messages that came from it.
    received: u64,
    /// The messages that were queued and not sent, once it has ended.
    unsent: u64,
    /// Why it ended; `None` where this end closed meanwhile.
    cause: Option<CloseCause>,
}

/// What all loops have seen.
#[derive(Default)]
struct World {
    /// By server and client id.
    on_servers: Mutex<HashMap<(u64, u64), Seen>>,
    /// The same, of the connections of which a client has learnt the id.
    on_clients: Mutex<HashMap<(u64, u64), Seen>>,
    /// Connections that a client has ended: what was sent to it and has not arrived is lost.
    left: Mutex<Vec<(u64, u64)>>,
    is_over: AtomicBool,
    /// The clients that had this one connection and ended it themselves, and what they sent over it.
    orderly: Mutex<Vec<((u64, u64), u64)>>,
    /// The messages that clients sent, and that servers received of them.
    from_clients: [AtomicU64; 2],
}

/// Reads on after a while: none, a few turns of the scheduler, or long enough for a stream to be full.
async fn dawdle(random: &mut fastrand::Rng) {
    match random.u8(..) {
        0 => tokio::time::sleep(Duration::from_millis(random.u64(1..10))).await,
        1..40 => {
            for _ in 0..random.u8(1..20) {
                tokio::task::yield_now().await;
            }
        }
        _ => {}
    }
}

/// How many messages to send now: mostly none, sometimes one, rarely more than a stream holds.
fn burst(random: &mut fastrand::Rng) -> u64 {
    match random.u8(..) {
        0..16 => random.u64(0..2 * SUBSCRIPTION_LEN as u64),
        16..100 => 1,
        _ => 0,
    }
}

/// Mostly long enough for every reader, sometimes too short.
fn drain(random: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(if random.u8(..4) == 0 { random.u64(1..20) } else { 5_000 })
}

/// What a loop has beside its events.
struct Reader {
    world: Arc<World>,
    random: fastrand::Rng,
    /// Closing has begun. What arrives meanwhile is dropped, even if it is the peer that ends the connection first.
    is_closing: Arc<AtomicBool>,
}

/// A server's loop, to the end of its events.
async fn serve(
    number: u64,
    server: ServerHandle,
    mut events: Subscription<ServerEvent<Either>>,
    Reader { world, mut random, is_closing }: Reader,
) {
    // The next number of each client's messages, and how many were sent to it.
    let mut open: HashMap<ClientId, (Option<u64>, Seen)> = HashMap::new();
    while let Some(event) = events.next().await {
        let id = match event {
            ServerEvent::Connected(id) => {
                assert!(open.insert(id, (None, Seen::default())).is_none(), "{id} twice");
                let key = (number, id.get());
                assert!(!world.on_servers.lock().unwrap().contains_key(&key), "{id} again, after its end");
                id
            }
            ServerEvent::Message(message, id) => {
                let (expected, seen) = open.get_mut(&id).expect("a message without a connection");
                let found = message.numbered().number;
                assert!(expected.is_none_or(|expected| expected == found), "{found} and not {expected:?}");
                *expected = Some(found + 1);
                seen.received += 1;
                world.from_clients[1].fetch_add(1, Ordering::Relaxed);
                id
            }
            ServerEvent::Disconnected(id, reason) => {
                let (_, mut seen) = open.remove(&id).expect("the end of no connection");
                seen.unsent = reason.unsent_messages;
                seen.cause = (!is_closing.load(Ordering::Relaxed)).then_some(reason.cause);
                world.on_servers.lock().unwrap().insert((number, id.get()), seen);
                continue;
            }
            other => panic!("{other:?}"),
        };
        let (_, seen) = open.get_mut(&id).unwrap();
        // The first message tells the client its id.
        for _ in 0..burst(&mut random).max(u64::from(seen.sent == 0)) {
            let message = Numbered { server: number, peer: id.get(), number: seen.sent };
            seen.sent += u64::from(send!(server, message, id));
        }
        if random.u8(..) == 0 {
            server.disconnect(id);
        }
        dawdle(&mut random).await;
    }
    assert!(open.is_empty(), "connections without an end: {open:?}");
}

/// A client's loop, to the end of its events.
async fn talk(
    client: ClientHandle,
    mut events: Subscription<ClientEvent<Either>>,
    Reader { world, mut random, is_closing }: Reader,
) {
    let (mut connection, mut connections, mut number) = (None, 0, 0);
    while let Some(event) = events.next().await {
        match event {
            ClientEvent::Connected { again } => {
                assert!(connection.is_none(), "connected twice");
                assert_eq!(again, connections > 0);
                connections += 1;
                connection = Some((None, Seen::default()));
            }
            ClientEvent::Message(message) => {
                let (id, seen) = connection.as_mut().expect("a message without a connection");
                let Numbered { server, peer, number } = message.numbered();
                assert_eq!(*id.get_or_insert((server, peer)), (server, peer), "of another connection");
                assert_eq!(number, seen.received);
                seen.received += 1;
            }
            ClientEvent::Disconnected(reason) => {
                let (id, mut seen) = connection.take().expect("the end of no connection");
                let Some(id) = id else { continue };
                let (unsent, is_own) = (reason.unsent_messages, matches!(reason.cause, CloseCause::Closed));
                (seen.unsent, seen.cause) = (unsent, Some(reason.cause));
                let before = world.on_clients.lock().unwrap().insert(id, seen);
                assert!(before.is_none(), "{id:?} twice");
                if is_closing.load(Ordering::Relaxed) {
                    world.left.lock().unwrap().push(id);
                }
                if is_own && connections == 1 {
                    world.orderly.lock().unwrap().push((id, number - unsent));
                }
                continue;
            }
            ClientEvent::ConnectFailed(failures) => {
                assert!(connection.is_none() && failures.attempts > 0);
                continue;
            }
            other => panic!("{other:?}"),
        }
        for _ in 0..burst(&mut random) {
            // It may go over a later connection than the one read of: the number counts all of them.
            let was_sent = send!(client, Numbered { server: 0, peer: 0, number });
            number += u64::from(was_sent);
            world.from_clients[0].fetch_add(u64::from(was_sent), Ordering::Relaxed);
        }
        dawdle(&mut random).await;
    }
    assert!(connection.is_none(), "a connection without an end");
}

fn reader(world: &Arc<World>, random: &mut fastrand::Rng) -> (Reader, Arc<AtomicBool>) {
    let is_closing = Arc::new(AtomicBool::new(false));
    let reader =
        Reader { world: Arc::clone(world), random: random.fork(), is_closing: Arc::clone(&is_closing) };
    (reader, is_closing)
}

/// One server after the other at the same path, until the world is over.
async fn servers(world: Arc<World>, path: PathBuf, mut random: fastrand::Rng) {
    for number in 0.. {
        let is_last = world.is_over.load(Ordering::Relaxed);
        if is_last {
            return;
        }
        let server = Server::builder(&path).drain(drain(&mut random)).build();
        // Made before the first client can connect, so that every message comes after it.
        let events = server.events();
        let (reader, is_closing) = reader(&world, &mut random);
        let reading = tokio::spawn(serve(number, server.handle(), events, reader));
        server.listen().await.unwrap();
        let life = Duration::from_millis(random.u64(20..250));
        tokio::time::sleep(life).await;
        is_closing.store(true, Ordering::Relaxed);
        server.close().await;
        reading.await.unwrap();
    }
}

/// One client after the other, `count` of them.
async fn clients(world: Arc<World>, path: PathBuf, count: usize, mut random: fastrand::Rng) {
    for _ in 0..count {
        let delay = Duration::from_millis(1);
        let client = Client::builder(&path)
            .drain(drain(&mut random))
            .retry_delay(delay)
            .reconnect_delay(delay)
            .build();
        let events = client.events();
        let (reader, is_closing) = reader(&world, &mut random);
        let reading = tokio::spawn(talk(client.handle(), events, reader));
        client.connect().await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(5..150))).await;
        is_closing.store(true, Ordering::Relaxed);
        client.close().await;
        reading.await.unwrap();
    }
}

async fn run(seed: u64, path: &Path) {
    let mut random = fastrand::Rng::with_seed(seed);
    let world = Arc::new(World::default());
    let serving = tokio::spawn(servers(Arc::clone(&world), path.to_owned(), random.fork()));
    let talking: Vec<_> = (0..random.usize(1..8))
        .map(|_| {
            tokio::spawn(clients(Arc::clone(&world), path.to_owned(), random.usize(1..5), random.fork()))
        })
        .collect();
    for task in talking {
        task.await.unwrap();
    }
    world.is_over.store(true, Ordering::Relaxed);
    serving.await.unwrap();

    let (on_servers, left) = (world.on_servers.lock().unwrap(), world.left.lock().unwrap());
    for (id, on_client) in &*world.on_clients.lock().unwrap() {
        let on_server = on_servers.get(id).unwrap_or_else(|| panic!("{id:?}: the server has not seen it"));
        if left.contains(id) {
            // What has not arrived is lost, and the client knows that it left.
            assert!(on_client.received <= on_server.sent, "{id:?}: {on_client:?} of {on_server:?}");
        } else {
            // The server ended it: what it had queued was received, or is counted.
            let received = on_client.received + on_server.unsent;
            assert_eq!(received, on_server.sent, "{id:?}: {on_client:?} of {on_server:?}");
        }
    }
    let mut compared = 0;
    for (id, sent) in &*world.orderly.lock().unwrap() {
        let on_server = &on_servers[id];
        if let Some(CloseCause::PeerClosed) = on_server.cause {
            assert_eq!(on_server.received, *sent, "{id:?}: {on_server:?}");
            compared += 1;
        }
    }
    let [sent, received] = world.from_clients.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert!(received <= sent, "{received} of {sent}");
    println!(
        "{} connections, {compared} of them whole; {received} of {sent} messages to servers",
        on_servers.len()
    );
}

async fn seeds() {
    let only = std::env::var("SOCKET_IPC_EVENTS_SEED").ok().map(|seed| seed.parse().unwrap());
    let first = fastrand::u64(..);
    for seed in only.map_or(first..first.saturating_add(6), |seed: u64| seed..seed + 1) {
        println!("seed {seed}");
        let place = Place::new();
        within("the end of a world", Duration::from_secs(60), run(seed, &place.socket())).await;
    }
}

support::both_flavours! {
    async fn events_model_views_of_both_ends_agree() {
        seeds().await;
    }
}
