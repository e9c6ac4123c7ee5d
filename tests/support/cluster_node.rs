//! A node of a domain, as one process of the tests of a cluster: `cluster_node URL NAME SOCKET`. It reads commands on its
//! standard input, and prints its events on its standard output, a line each.
//!
//! | command | what it does |
//! |---|---|
//! | `flood 1000 80` | broadcasts 1000 messages with texts of 80 bytes, and prints `flooded`, how many other nodes were sent |
//! | `speak 1000 80` | the same to the group `room`, as fast as they leave, and prints `spoken` |
//! | `member` | makes all clients members of `room`, and prints `subscribed` once other nodes reach them |
//! | `await 2` | prints `seen` once a beat of another node says that it has sent 2 broadcasts |
//! | `forward` | forwards `wait` of its clients to other nodes |
//! | `respond` | responds to `wait`, which prints `began` and `dropped`, and offers it |
//! | `forward streams` | forwards `numbers` of its clients to other nodes |
//! | `stream` | responds to `numbers`, which counts on for ever, prints `began` and `dropped`, and offers it |

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::cluster::{Cluster, ClusterEvent, ClusterOptions};
use socket_ipc::{Server, Topic};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "count"]
struct Count {
    number: u64,
    text: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = u64)]
struct Numbers {
    /// How many milliseconds pass before each.
    every: u64,
}

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result {
    let flavour = std::env::var("PEER_FLAVOUR").unwrap_or_default();
    let mut runtime = match flavour.as_str() {
        "multi_thread" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(&std::env::args().skip(1).collect::<Vec<_>>()));
    // The thread that reads the input may still be waiting for some.
    runtime.shutdown_background();
    result
}

async fn run(arguments: &[String]) -> Result {
    let [url, name, socket] = arguments else { return Err("expected URL NAME SOCKET".into()) };
    let server = Server::new(socket);
    server.listen().await?;
    let cluster = Cluster::join(&server, ClusterOptions::new(url, "desk").name(name)).await?;
    let mut events = cluster.events();
    println!("joined {}", cluster.node());
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut number = 0;
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                ClusterEvent::NodeUp(node) => println!("up {node}"),
                ClusterEvent::NodeDown(node) => println!("down {node}"),
                ClusterEvent::Lagged { count, .. } => println!("lagged {count}"),
                ClusterEvent::GroupLagged { count, .. } => println!("group lagged {count}"),
                event => println!("{event:?}"),
            },
            line = input.next_line() => {
                let Some(line) = line? else { break };
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["flood", count, len] => {
                        println!("flooded {}", flood(&cluster, &mut number, count.parse()?, len.parse()?).await);
                    }
                    ["speak", count, len] => {
                        println!("spoken {}", speak(&cluster, count.parse()?, len.parse()?).await);
                    }
                    ["member"] => {
                        for client_id in server.clients() {
                            server.group("room").join(client_id)?;
                        }
                        println!("{}", if cluster.group("room").subscribed().await { "subscribed" } else { "refused" });
                    }
                    ["await", sent] => {
                        let sent = sent.parse()?;
                        while cluster.nodes().iter().all(|node| node.broadcasts < sent) {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        println!("seen");
                    }
                    ["forward"] => cluster.forward::<Wait>()?,
                    ["respond"] => respond(&server, &cluster)?,
                    ["forward", "streams"] => cluster.forward::<Numbers>()?,
                    ["stream"] => stream(&server, &cluster)?,
                    _ => return Err(format!("unknown command: {line}").into()),
                }
            }
        }
    }
    cluster.leave().await;
    Ok(())
}

/// Returns how many broadcasts left for the other nodes.
async fn flood(cluster: &Cluster, number: &mut u64, count: u64, len: usize) -> u64 {
    let mut sent = 0;
    for _ in 0..count {
        *number += 1;
        let message = Count { number: *number, text: "x".repeat(len) };
        sent += u64::from(cluster.broadcast_async(&message).await.is_ok());
        if sent.is_multiple_of(1000) {
            tokio::task::yield_now().await;
        }
    }
    sent
}

/// Returns how many messages to the group left for the other nodes.
async fn speak(cluster: &Cluster, count: u64, len: usize) -> u64 {
    let (mut sent, room) = (0, cluster.group("room"));
    for number in 1..=count {
        sent += u64::from(room.broadcast_async(&Count { number, text: "x".repeat(len) }).await.is_ok());
        if number.is_multiple_of(100) {
            tokio::task::yield_now().await;
        }
    }
    sent
}

struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        println!("dropped");
    }
}

fn stream(server: &Server, cluster: &Cluster) -> Result {
    server.respond_stream::<Numbers>(|Numbers { every }, _| {
        println!("began");
        futures::stream::unfold((0, Dropped), move |(number, dropped)| async move {
            if every > 0 {
                tokio::time::sleep(Duration::from_millis(every)).await;
            }
            Some((number, (number + 1, dropped)))
        })
    })?;
    Ok(cluster.offer::<Numbers>()?)
}

fn respond(server: &Server, cluster: &Cluster) -> Result {
    server.respond_async::<Wait>(|Wait, _| async {
        let _dropped = Dropped;
        println!("began");
        tokio::time::sleep(Duration::MAX).await;
    })?;
    Ok(cluster.offer::<Wait>()?)
}
