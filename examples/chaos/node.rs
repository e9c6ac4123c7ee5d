//! A node, as a process of its own. It reads commands from its standard input, a line each, and prints lines.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use socket_ipc::Server;
use socket_ipc::cluster::{Cluster, ClusterOptions, NodeId};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

use super::Failure;
use super::loads::{self, Pace, Spoken};
use super::responders::{self, Node};
use super::sampler::{Sampler, Seen};
use super::topics::{Far, FarItems, Near, NearItems, ROOMS};
use super::usage::Usage;

/// The domain.
const DOMAIN: &str = "chaos";

/// How often a server tells its clients what it knows.
const SAMPLE: Duration = Duration::from_millis(200);

/// What a node says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Look {
    pub node: NodeId,
    pub is_linked: bool,
    pub clients: usize,
    /// How many steady clients have joined their rooms.
    pub joined: usize,
    /// How many requests and streams run here.
    pub running: u64,
    pub others: Vec<Seen>,
    pub usage: Usage,
}

/// How many messages have left, to each room.
#[derive(Debug, Serialize, Deserialize)]
pub struct Quiet {
    pub node: NodeId,
    /// How many broadcasts to all had left by then: all that was said is ahead of the next one.
    pub news: u64,
    pub left: Vec<u64>,
}

pub async fn run(index: usize, socket: &Path, url: &str, seed: u64) -> Result<(), Failure> {
    let mut rng = Rng::with_seed(seed);
    let (server, node) = (Server::new(socket), Arc::<Node>::default());
    let is_far = index + 1 == super::schedule::NODES;
    responders::attach(&server, &node, is_far)?;
    server.on_error(|error| println!("broken the server reported: {error}"));
    server.listen().await?;
    let cluster = join(&server, index, url).await;
    let mut sampler = Sampler::new(&cluster);
    if is_far {
        cluster.offer::<(Far, FarItems)>()?;
        cluster.forward::<(Near, NearItems)>()?;
    } else {
        cluster.offer::<(Near, NearItems)>()?;
        cluster.forward::<(Far, FarItems)>()?;
    }
    let _ = node.cluster.set(cluster.clone());
    println!("joined {}", cluster.node());
    let (pace, paced) = watch::channel(Pace::All);
    let (spoken, mut tasks) = (Arc::<Spoken>::default(), tokio::task::JoinSet::new());
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut samples = tokio::time::interval(SAMPLE);
    loop {
        tokio::select! {
            // Told as they come: the stream of events is bounded.
            Some(event) = sampler.events.next() => sampler.note(event),
            _ = samples.tick() => server.broadcast(&sampler.sample(&cluster)).map(drop)?,
            line = input.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                match line.split_once(' ').unwrap_or((&line, "")) {
                    ("begin", _) => tasks = loads::start(&cluster, &server, &mut rng, &paced, &spoken),
                    ("look", _) => println!("look {}", serde_json::to_string(&look(&server, &node, &cluster, &sampler)?)?),
                    ("quiet", _) => {
                        pace.send(Pace::Quiet)?;
                        while !spoken.is_quiet.load(Ordering::Acquire) {
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                        println!("quiet {}", serde_json::to_string(&quiet(&cluster, &spoken))?);
                    }
                    ("calm", sent) => server.broadcast(&sampler.calm(&cluster, serde_json::from_str(sent)?)).map(drop)?,
                    ("loud", _) => {
                        spoken.is_quiet.store(false, Ordering::Release);
                        pace.send(Pace::All)?;
                    }
                    ("end", _) => {
                        pace.send(Pace::End)?;
                        while let Some(ended) = tasks.join_next().await {
                            ended?;
                        }
                        println!("ended");
                    }
                    ("leave", _) => {
                        cluster.leave().await;
                        println!("left");
                        server.close().await;
                        return Ok(());
                    }
                    _ => return Err(format!("unknown command: {line}").into()),
                }
            }
        }
    }
}

/// Joins, as soon as NATS can be reached.
async fn join(server: &Server, index: usize, url: &str) -> Cluster {
    loop {
        let options = ClusterOptions::new(url, DOMAIN).name(format!("node-{index}"));
        match Cluster::join(server, options).await {
            Ok(cluster) => return cluster,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn quiet(cluster: &Cluster, spoken: &Spoken) -> Quiet {
    Quiet {
        node: cluster.node().clone(),
        news: spoken.news.load(Ordering::Acquire),
        left: spoken.left[..ROOMS].iter().map(|left| left.load(Ordering::Acquire)).collect(),
    }
}

fn look(server: &Server, node: &Node, cluster: &Cluster, sampler: &Sampler) -> Result<Look, Failure> {
    Ok(Look {
        node: cluster.node().clone(),
        is_linked: cluster.is_linked(),
        clients: server.clients().len(),
        joined: node.joined.lock().map_or(0, |joined| joined.len()),
        running: node.running.load(Ordering::Acquire),
        others: sampler.seen(cluster),
        usage: Usage::now()?,
    })
}
