//! What a node broadcasts, says to groups, and tells clients: a task for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use socket_ipc::cluster::{BroadcastError, ClientRef, Cluster};
use socket_ipc::{SendError, ServerHandle};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::errors::name_in_cluster;
use super::topics::{News, PASSING, ROOMS, Said, Told, room};

/// What a node has been told to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    All,
    /// Nothing to groups.
    Quiet,
    End,
}

/// The messages to groups.
#[derive(Default)]
pub struct Spoken {
    /// How many have left for the other nodes, of each room.
    pub left: [AtomicU64; ROOMS + 1],
    /// How many broadcasts to all have left.
    pub news: AtomicU64,
    /// Nothing is being said.
    pub is_quiet: AtomicBool,
}

/// One room has few members, who get floods.
const FLOODED: usize = ROOMS - 1;

/// Whether a broadcast left for the other nodes. An error that no fault explains is printed.
fn has_left(sent: Result<usize, BroadcastError>) -> bool {
    match sent {
        Ok(_) => true,
        Err(BroadcastError::LinkDown { .. } | BroadcastError::Left { .. }) => false,
        // Of a node that has left and ends.
        Err(BroadcastError::Local(SendError::Closed { .. })) => false,
        Err(error) => {
            println!("broken a broadcast failed: {error}");
            false
        }
    }
}

/// Starts the tasks. They end by `Pace::End`.
pub fn start(
    cluster: &Cluster,
    server: &ServerHandle,
    rng: &mut Rng,
    pace: &watch::Receiver<Pace>,
    spoken: &Arc<Spoken>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut next = || (cluster.clone(), server.clone(), rng.fork(), pace.clone());
    let (of, server, rng, pace) = next();
    let counts = Arc::clone(spoken);
    tasks.spawn(async move { broadcast(&of, &server, rng, pace, &counts).await });
    let (of, _, rng, pace) = next();
    let spoken = Arc::clone(spoken);
    tasks.spawn(async move { speak(&of, rng, pace, &spoken).await });
    let (of, server, rng, pace) = next();
    tasks.spawn(async move { tell(&of, &server, rng, pace).await });
    tasks
}

/// Waits for a while. `false`: it is over.
async fn pause(rng: &mut Rng, pace: &watch::Receiver<Pace>, longest: u64) -> bool {
    tokio::time::sleep(Duration::from_millis(rng.u64(1..longest * super::PAUSES))).await;
    *pace.borrow() != Pace::End
}

async fn broadcast(
    cluster: &Cluster,
    server: &ServerHandle,
    mut rng: Rng,
    pace: watch::Receiver<Pace>,
    counts: &Spoken,
) {
    let (mut number, mut left) = (0, 0);
    let node = cluster.node().clone();
    while pause(&mut rng, &pace, 300).await {
        let who = rng.choice(server.clients()).map(|client| cluster.client_ref(client));
        let count = if rng.u8(..20) == 0 { rng.u64(..1_000 / super::PAUSES) } else { rng.u64(1..20) };
        let text = "x".repeat(rng.usize(..200));
        for _ in 0..count {
            number += 1;
            let (node, who, text) = (node.clone(), who.clone(), text.clone());
            let news = News { node, number, left: left + 1, who, text };
            left += u64::from(has_left(cluster.broadcast_async(&news).await));
            counts.news.store(left, Ordering::Release);
        }
    }
}

async fn speak(cluster: &Cluster, mut rng: Rng, mut pace: watch::Receiver<Pace>, spoken: &Spoken) {
    let groups: Vec<_> = (0..=PASSING).map(|number| cluster.group(room(number))).collect();
    let mut numbers = [0; ROOMS + 1];
    let node = cluster.node().clone();
    while pause(&mut rng, &pace, 200).await {
        if *pace.borrow_and_update() == Pace::Quiet {
            spoken.is_quiet.store(true, Ordering::Release);
            // An error means that it is over.
            let _ = pace.changed().await;
            continue;
        }
        let room = rng.usize(..=PASSING);
        let (count, len) = match room {
            FLOODED if rng.u8(..3) == 0 => (rng.u64(..1_500 / super::PAUSES), 4_000),
            _ => (rng.u64(1..10), rng.usize(..200)),
        };
        let text = "x".repeat(len);
        for _ in 0..count {
            numbers[room] += 1;
            let left = spoken.left[room].load(Ordering::Acquire) + 1;
            let said = Said { node: node.clone(), room, number: numbers[room], left, text: text.clone() };
            if has_left(groups[room].broadcast_async(&said).await) {
                spoken.left[room].store(left, Ordering::Release);
            }
        }
    }
}

/// Tells clients of all nodes, one after the other.
async fn tell(cluster: &Cluster, server: &ServerHandle, mut rng: Rng, pace: watch::Receiver<Pace>) {
    let (mut number, mut last) = (0, None::<ClientRef>);
    while pause(&mut rng, &pace, 50).await {
        // A number of a client of this node is one of another node, too, nearly always.
        let client = rng.choice(server.clients());
        let nodes = cluster.nodes().into_iter().map(|node| node.id).chain([cluster.node().clone()]);
        if let (Some(client), Some(node)) = (client, rng.choice(nodes.collect::<Vec<_>>())) {
            last = Some(ClientRef { node, client: client.get() });
        }
        let Some(client) = &last else { continue };
        number += 1;
        let told = Told { node: cluster.node().clone(), to: client.clone(), number };
        let sent = tokio::time::timeout(super::responders::IN_TIME, cluster.send(&told, client)).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if let Err(error) = name_in_cluster(&error) {
                    println!("broken a message to one client failed: {error}");
                }
            }
            Err(_) => println!("broken no end of a message to one client"),
        }
    }
}
