//! What an idle domain costs as it grows: each node receives a beat a second of every other one.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket_ipc::Server;
use socket_ipc::cluster::{Cluster, ClusterOptions};

use super::nats::Nats;
use super::play::{DOMAIN, wait_for_nodes};
use crate::report::{Spread, number};
use crate::requests::EchoRequest;
use crate::run::{Failed, Players, memory, processor_time};
use crate::systems::Done;
use crate::work::say_ready;

/// How long the nodes are left alone before they are measured.
const SETTLE: Duration = Duration::from_secs(3);

/// The size of a domain that is computed, not measured.
const COMPUTED: f64 = 1_000.0;

/// An idle domain, each value a second.
struct Step {
    nodes: f64,
    /// Of one node, in seconds.
    node: Spread,
    /// Of the NATS server, in seconds.
    nats: f64,
    in_messages: f64,
    out_messages: f64,
    out_bytes: f64,
    /// Of one node, in bytes: what it has allocated.
    memory: Spread,
    /// Of all nodes, and of the NATS server itself.
    subscriptions: f64,
}

/// Measures idle domains, and prints the table with a line for a domain that is computed.
pub fn measure(steps: &[u64], groups: u64, seconds: u64) -> Result<(), Failed> {
    println!(
        "| nodes | beats in, a second | beats out, a second | payload out, MB a second | a node, % of a core | least | most | NATS server, % of a core | memory of a node, KiB | least | most | subscriptions |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut measured = Vec::new();
    for &nodes in steps {
        eprintln!("{nodes} idle nodes");
        let step = idle(nodes, groups, Duration::from_secs(seconds))?;
        print_row(&step, "");
        measured.push(step);
    }
    let (Some(first), Some(last)) = (measured.first(), measured.last()) else { return Ok(()) };
    if last.nodes <= first.nodes {
        return Ok(());
    }
    // A node does the same for itself in every domain, and the same for each beat that it receives. So does NATS.
    let a_beat = (last.node.median - first.node.median) / (last.nodes - first.nodes);
    let alone = first.node.median - a_beat * (first.nodes - 1.0);
    let a_delivery = (last.nats - first.nats) / (last.out_messages - first.out_messages);
    let out_messages = COMPUTED * (COMPUTED - 1.0);
    let node = alone + a_beat * (COMPUTED - 1.0);
    let a_node_known = (last.memory.median - first.memory.median) / (last.nodes - first.nodes);
    let memory = last.memory.median + a_node_known * (COMPUTED - last.nodes);
    let a_node_subscribes = (last.subscriptions - first.subscriptions) / (last.nodes - first.nodes);
    let computed = Step {
        nodes: COMPUTED,
        node: Spread { median: node, least: node, most: node },
        nats: first.nats + a_delivery * (out_messages - first.out_messages),
        in_messages: COMPUTED,
        out_messages,
        out_bytes: out_messages * last.out_bytes / last.out_messages,
        memory: Spread { median: memory, least: memory, most: memory },
        subscriptions: first.subscriptions + a_node_subscribes * (COMPUTED - first.nodes),
    };
    print_row(&computed, ", computed");
    println!(
        "\nA node: {:.0} µs a second, and {:.1} µs for each beat that it receives. The NATS server: {:.1} µs for each beat \
         that it sends. A beat: {:.0} bytes of payload. A node takes {:.0} bytes for each other node, and has \
         {a_node_subscribes:.0} subscriptions.",
        alone * 1e6,
        a_beat * 1e6,
        a_delivery * 1e6,
        last.out_bytes / last.out_messages,
        a_node_known,
    );
    Ok(())
}

fn print_row(step: &Step, note: &str) {
    let kibibytes = |bytes: f64| number(bytes / 1024.0);
    let percent = |seconds: f64| format!("{:.2}", seconds * 100.0);
    println!(
        "| {}{note} | {} | {} | {:.3} | {} | {} | {} | {} | {} | {} | {} | {} |",
        step.nodes,
        number(step.in_messages),
        number(step.out_messages),
        step.out_bytes / 1e6,
        percent(step.node.median),
        percent(step.node.least),
        percent(step.node.most),
        percent(step.nats),
        kibibytes(step.memory.median),
        kibibytes(step.memory.least),
        kibibytes(step.memory.most),
        number(step.subscriptions),
    );
}

/// Runs nodes that do nothing, each in a process of its own, on a NATS server of their own.
fn idle(nodes: u64, groups: u64, duration: Duration) -> Result<Step, Failed> {
    let nats = Nats::start()?;
    let place = tempfile::tempdir()?;
    let mut players = Players::new();
    for number in 0..nodes {
        let arguments =
            ["idle".to_owned(), number.to_string(), nodes.to_string(), groups.to_string(), nats.url()];
        players.start_ours(&arguments, &place.path().join(format!("{number}.sock")))?;
    }
    for _ in 0..nodes {
        players.next()?;
    }
    sleep(SETTLE);
    let sample = || -> Result<_, Failed> {
        let times = players.processes().map(processor_time).collect::<Result<Vec<_>, _>>()?;
        Ok((Instant::now(), times, processor_time(nats.process())?, nats.traffic()?))
    };
    let (begun, times, nats_time, traffic) = sample()?;
    sleep(duration);
    let (ended, times_then, nats_time_then, traffic_then) = sample()?;
    let seconds = (ended - begun).as_secs_f64();
    let memory = players.processes().map(|process| Ok(memory(process, "RssAnon")? as f64));
    let memory = memory.collect::<Result<Vec<_>, Failed>>()?;
    let each = times.iter().zip(&times_then).map(|(before, then)| (then - before) / seconds);
    Ok(Step {
        nodes: nodes as f64,
        node: Spread::of(each.collect()).ok_or("no nodes")?,
        nats: (nats_time_then - nats_time) / seconds,
        in_messages: (traffic_then.in_msgs - traffic.in_msgs) as f64 / seconds,
        out_messages: (traffic_then.out_msgs - traffic.out_msgs) as f64 / seconds,
        out_bytes: (traffic_then.out_bytes - traffic.out_bytes) as f64 / seconds,
        memory: Spread::of(memory).ok_or("no nodes")?,
        subscriptions: traffic_then.subscriptions as f64,
    })
}

/// Plays one idle node, in a process of its own.
pub async fn stay(number: u64, nodes: u64, groups: u64, url: &str, path: &Path) -> Done {
    let server = Server::new(path);
    server.listen().await?;
    let name = format!("host-{number}");
    let cluster = Cluster::join(&server, ClusterOptions::new(url, DOMAIN).name(name)).await?;
    server.respond::<EchoRequest>(|EchoRequest(message), _| message)?;
    cluster.offer::<EchoRequest>()?;
    wait_for_nodes(&cluster, nodes - 1, 1).await;
    let client = server.in_memory_client().build();
    client.connect().await?;
    while server.clients().is_empty() {
        tokio::task::yield_now().await;
    }
    for group in 0..groups {
        let group = format!("room {group}");
        server.group(&group).join(server.clients()[0])?;
        cluster.group(&group).subscribed().await;
    }
    say_ready();
    server.closed().await;
    Ok(())
}
