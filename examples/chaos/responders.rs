//! What a node responds to: requests and streams of all nodes, and what its own clients ask of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::Stream;
use socket_ipc::cluster::{ClientRef, Cluster, ClusterError};
use socket_ipc::{ClientId, RegisterError, Server};

use super::errors::name_in_cluster;
use super::topics::*;

/// How long a request may take. No fault lasts as long.
pub const IN_TIME: Duration = Duration::from_secs(20);

/// What the responders of a node share.
#[derive(Default)]
pub struct Node {
    pub cluster: OnceLock<Cluster>,
    /// How many requests and streams run.
    pub running: AtomicU64,
    /// The steady clients that have joined their rooms and are there.
    pub joined: std::sync::Mutex<std::collections::HashSet<ClientId>>,
}

/// One that runs, until it is dropped.
struct Running(Arc<Node>);

impl Running {
    fn new(node: &Arc<Node>) -> Self {
        node.running.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(node))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The reply to a number.
pub fn reply_to(number: u64) -> u64 {
    number.wrapping_mul(3).wrapping_add(1)
}

/// A text that has another length for each number.
pub fn text(number: u64) -> String {
    "x".repeat((number.wrapping_mul(37) % 400) as usize)
}

/// Items that count from 0.
fn items(count: u64, millis: u64, running: Option<Running>) -> impl Stream<Item = Item> {
    futures::stream::unfold((0, running), move |(number, running)| async move {
        if number == count {
            return None;
        }
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        Some((Item { number, text: text(number) }, (number + 1, running)))
    })
}

/// The stream of a client.
pub fn lines(count: u64) -> impl Stream<Item = Item> {
    items(count, 0, None)
}

/// Two nodes respond to `near` topics, the last one to `far` topics; each forwards the others.
pub fn attach(server: &Server, node: &Arc<Node>, is_far: bool) -> Result<(), RegisterError> {
    macro_rules! reply {
        ($Request:ident, $Items:ident) => {{
            let of = Arc::clone(node);
            server.respond_async::<$Request>(move |$Request { number, millis }, _| {
                let running = Running::new(&of);
                async move {
                    let _running = running;
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    reply_to(number)
                }
            })?;
            let of = Arc::clone(node);
            server.respond_stream::<$Items>(move |$Items { count, millis }, _| {
                items(count, millis, Some(Running::new(&of)))
            })?;
        }};
    }
    if is_far {
        reply!(Far, FarItems);
    } else {
        reply!(Near, NearItems);
    }
    let (of, groups) = (Arc::clone(node), server.handle());
    server.respond_async::<Join>(move |Join { rooms }, client_id| {
        let (of, groups) = (Arc::clone(&of), groups.clone());
        async move {
            let Some(cluster) = of.cluster.get() else { return false };
            let stays = rooms.iter().any(|room| *room != PASSING);
            for room in rooms.into_iter().map(room) {
                // It is subscribed at once, or there is no link meanwhile and it is tried again.
                let subscribed = async { cluster.group(&room).subscribed().await };
                if groups.group(&room).join(client_id).is_err()
                    || !tokio::time::timeout(Duration::from_secs(1), subscribed).await.unwrap_or(false)
                {
                    return false;
                }
            }
            if stays && let Ok(mut joined) = of.joined.lock() {
                joined.insert(client_id);
            }
            true
        }
    })?;
    let to = server.handle();
    // One that has gone needs to know nothing.
    server.on_connection(move |client_id| drop(to.send(&You(client_id.get()), client_id)));
    let groups = server.handle();
    server.respond::<Depart>(move |Depart { room: number }, client_id| {
        groups.group(room(number)).leave(client_id)
    })?;
    let of = Arc::clone(node);
    server.on_connection_close(move |client_id, _| {
        if let Ok(mut joined) = of.joined.lock() {
            joined.remove(&client_id);
        }
    });
    let of = Arc::clone(node);
    server.respond_async::<Reach>(move |reach, _| {
        let of = Arc::clone(&of);
        async move {
            let Some(cluster) = of.cluster.get() else { return Reached::Failed("not joined".to_owned()) };
            match self::reach(cluster, &reach).await {
                Ok(reached) => reached,
                Err(error) => match name_in_cluster(&error) {
                    Ok(name) => Reached::Failed(name.to_owned()),
                    Err(broken) => Reached::Broken(broken),
                },
            }
        }
    })?;
    Ok(())
}

async fn reach(cluster: &Cluster, Reach { client, number, items }: &Reach) -> Result<Reached, ClusterError> {
    let Some(count) = *items else { return echo(cluster, client, *number).await };
    let lines = cluster.request_stream(&Lines { count }, client);
    let mut lines = lines.timeout(IN_TIME).idle_timeout(IN_TIME);
    let mut next = 0;
    while let Some(line) = lines.next().await {
        let line = line?;
        if line.number != next || line.text != text(next) {
            return Ok(Reached::Broken(format!("line {} came, and {next} was due", line.number)));
        }
        next += 1;
    }
    Ok(if next == count { Reached::Items(next) } else { Reached::Broken(format!("{next} of {count} lines")) })
}

async fn echo(cluster: &Cluster, client: &ClientRef, number: u64) -> Result<Reached, ClusterError> {
    let echo = Echo(number);
    Ok(match tokio::time::timeout(IN_TIME, cluster.request(&echo, client)).await {
        Err(_) => Reached::Broken(format!("no end of `echo` within {IN_TIME:?}")),
        Ok(reply) if reply.as_ref().is_ok_and(|reply| *reply != reply_to(number)) => {
            Reached::Broken("the reply to another request".to_owned())
        }
        Ok(reply) => reply.map(|_| Reached::Replied)?,
    })
}
