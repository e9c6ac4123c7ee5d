//! What the processes of a comparison do.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use futures::StreamExt as _;
use socket_ipc::cluster::{Cluster, ClusterOptions};
use socket_ipc::{Client, Server, Topic};
use tokio::sync::mpsc;

use super::{Load, Over, Part};
use crate::requests::{EchoRequest, IN_FLIGHT, in_flight};
use crate::systems::Done;
use crate::work::{Outcome, Small, say_ready};

/// The domain of the nodes.
pub const DOMAIN: &str = "compare";

/// Starts this many broadcasts.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "flood", reply = u64)]
struct Flood {
    count: u64,
    to_group: bool,
}

/// Makes the client a member of the group. The reply comes once other nodes reach it.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "enter", reply = bool)]
struct Enter;

/// The group.
const GROUP: &str = "room";

/// This many items.
#[derive(Topic, serde::Serialize, serde::Deserialize)]
#[topic(name = "items", stream = Small)]
struct Items(u64);

pub async fn play(part: Part, over: Over, load: Load, count: u64, url: &str, path: &Path) -> Done {
    match (part, over) {
        (Part::Far, Over::Plain) => plain_far(url).await,
        (Part::Far, Over::Nodes) => far_node(url, &path.with_extension("far")).await,
        (Part::Far, Over::OneServer) => one_server(path).await,
        (Part::Near, _) => near_node(url, path).await,
        (Part::Client, Over::Plain) => plain_client(load, count, url).await,
        (Part::Client, Over::Nodes | Over::OneServer) => client(load, count, path).await,
    }
}

/// Publishes floods, and responds to requests.
async fn plain_far(url: &str) -> Done {
    let nats = async_nats::connect(url).await?;
    let mut floods = nats.subscribe("plain.flood").await?;
    let mut echoes = nats.queue_subscribe("plain.echo", "responders".to_owned()).await?;
    nats.flush().await?;
    let flooding = nats.clone();
    tokio::spawn(async move {
        while let Some(flood) = floods.next().await {
            let count: u64 = serde_json::from_slice(&flood.payload)?;
            for id in 0..count {
                flooding.publish("plain.bench", serde_json::to_vec(&Small::new(id))?.into()).await?;
            }
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });
    // In a task, as in a program: on the threads of the runtime.
    let responding = tokio::spawn(async move {
        say_ready();
        while let Some(request) = echoes.next().await {
            let small: Small = serde_json::from_slice(&request.payload)?;
            let reply = request.reply.ok_or("a request without a reply subject")?;
            nats.publish(reply, serde_json::to_vec(&small)?.into()).await?;
        }
        Ok(())
    });
    responding.await?
}

async fn plain_client(load: Load, count: u64, url: &str) -> Done {
    // So that its client drops nothing.
    let options = ConnectOptions::new().subscription_capacity((count as usize).max(65_536));
    let nats = options.connect(url).await?;
    let mut messages = nats.subscribe("plain.bench").await?;
    nats.flush().await?;
    let measuring = tokio::spawn(async move {
        if let Load::Broadcasts | Load::Group | Load::Items = load {
            let start = Instant::now();
            nats.publish("plain.flood", serde_json::to_vec(&count)?.into()).await?;
            let mut sum = 0;
            while let Some(message) = messages.next().await {
                let small: Small = serde_json::from_slice(&message.payload)?;
                sum += small.adds();
                if small.id + 1 == count {
                    break;
                }
            }
            return Ok(Outcome::since(start, sum));
        }
        let nats = &nats;
        request(load, count, |id| async move {
            let payload = serde_json::to_vec(&Small::new(id))?;
            let reply = nats.request("plain.echo", payload.into()).await?;
            Ok(serde_json::from_slice(&reply.payload)?)
        })
        .await
    });
    measuring.await??.say();
    Ok(())
}

async fn far_node(url: &str, path: &Path) -> Done {
    let server = Server::new(path);
    server.listen().await?;
    let cluster = Cluster::join(&server, ClusterOptions::new(url, DOMAIN).name("far")).await?;
    server.respond::<EchoRequest>(|EchoRequest(message), _| message)?;
    let broadcasting = cluster.clone();
    server.respond::<Flood>(move |Flood { count, to_group }, _| {
        let (cluster, group) = (broadcasting.clone(), broadcasting.group(GROUP));
        tokio::spawn(async move {
            for id in 0..count {
                let message = Small::new(id);
                let sent = match to_group {
                    true => group.broadcast_async(&message).await,
                    false => cluster.broadcast_async(&message).await,
                };
                sent.expect("the link is up");
            }
        });
        count
    })?;
    server.respond_stream::<Items>(|Items(count), _| futures::stream::iter((0..count).map(Small::new)))?;
    cluster.offer::<(EchoRequest, Flood, Items)>()?;
    say_ready();
    server.closed().await;
    Ok(())
}

async fn near_node(url: &str, path: &Path) -> Done {
    let server = Server::new(path);
    server.listen().await?;
    let cluster = Cluster::join(&server, ClusterOptions::new(url, DOMAIN).name("near")).await?;
    cluster.forward::<(EchoRequest, Flood, Items)>()?;
    let (of, groups) = (cluster.clone(), server.handle());
    server.respond_async::<Enter>(move |Enter, client_id| {
        let (group, is_member) = (of.group(GROUP), groups.group(GROUP).join(client_id).is_ok());
        async move { is_member && group.subscribed().await }
    })?;
    wait_for_nodes(&cluster, 1, 3).await;
    say_ready();
    server.closed().await;
    Ok(())
}

/// Waits until this many other nodes are known, each with its offers.
pub async fn wait_for_nodes(cluster: &Cluster, count: u64, offers: usize) {
    let are_here = || {
        let nodes = cluster.nodes();
        nodes.len() as u64 >= count && nodes.iter().all(|node| node.offers.len() == offers)
    };
    while !are_here() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn one_server(path: &Path) -> Done {
    let server = Server::new(path);
    server.respond::<EchoRequest>(|EchoRequest(message), _| message)?;
    let broadcasting = server.handle();
    server.respond::<Flood>(move |Flood { count, to_group }, _| {
        let (server, group) = (broadcasting.clone(), broadcasting.group(GROUP));
        tokio::spawn(async move {
            for id in 0..count {
                let message = Small::new(id);
                let sent = match to_group {
                    true => group.broadcast_async(&message).await,
                    false => server.broadcast_async(&message).await,
                };
                sent.expect("a small message is short enough");
            }
        });
        count
    })?;
    let groups = server.handle();
    server.respond::<Enter>(move |Enter, client_id| groups.group(GROUP).join(client_id).is_ok())?;
    server.respond_stream::<Items>(|Items(count), _| futures::stream::iter((0..count).map(Small::new)))?;
    server.listen().await?;
    say_ready();
    server.closed().await;
    Ok(())
}

async fn client(load: Load, count: u64, path: &Path) -> Done {
    let client = Client::new(path);
    let (sum, (ended, mut end)) = (Arc::new(AtomicU64::new(0)), mpsc::unbounded_channel());
    let adding = Arc::clone(&sum);
    client.on::<Small>(move |message| {
        adding.fetch_add(message.adds(), Relaxed);
        if message.id + 1 == count {
            // The process ends with the run.
            let _ = ended.send(());
        }
    });
    client.connect().await?;
    // In a task, as in a program: on the threads of the runtime.
    let measuring = tokio::spawn(async move {
        if let Load::Broadcasts | Load::Group = load {
            let to_group = load == Load::Group;
            if to_group && !client.request(&Enter).await? {
                return Err("not a member".into());
            }
            let start = Instant::now();
            client.request(&Flood { count, to_group }).await?;
            end.recv().await.ok_or("closed before the last message")?;
            return Ok(Outcome::since(start, sum.load(Relaxed)));
        }
        if load == Load::Items {
            let (start, mut sum) = (Instant::now(), 0);
            let mut items = client.request_stream(&Items(count));
            while let Some(item) = items.next().await {
                sum += item?.adds();
            }
            return Ok(Outcome::since(start, sum));
        }
        let client = &client;
        request(load, count, |id| async move { Ok(client.request(&EchoRequest(Small::new(id))).await?) })
            .await
    });
    measuring.await??.say();
    Ok(())
}

/// Requests echoes, and times each if there is one at a time.
async fn request<F>(
    load: Load,
    count: u64,
    echo: impl Fn(u64) -> F,
) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>>
where
    F: Future<Output = Result<Small, Box<dyn std::error::Error + Send + Sync>>>,
{
    let start = Instant::now();
    if load == Load::Requests {
        in_flight(IN_FLIGHT, count, echo).await?;
        return Ok(Outcome::since(start, count * count.saturating_sub(1) / 2));
    }
    let (mut sum, mut trips) = (0, Vec::with_capacity(count as usize));
    for id in 0..count {
        let sent = Instant::now();
        sum += echo(id).await?.adds();
        trips.push(sent.elapsed());
    }
    Ok(Outcome::of_round_trips(start, sum, trips))
}
