//! `nodes`: the nodes of a domain, as they say that they are there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use socket_ipc::cluster::visitor::NodeChange;
use socket_ipc::cluster::{Node, NodeId};

use crate::arguments::NodesArguments;
use crate::failure::{Failure, Status, say};
use crate::nats::Domain;
use crate::output::Printer;
use crate::paint::{self, Shown};
use crate::running;

pub(crate) fn run(arguments: NodesArguments) -> Result<(), Failure> {
    let NodesArguments { domain, timeout, watch, json, patience, nats } = arguments;
    let domain = Domain::new(&nats, &domain, patience.connect_timeout, patience.retry || watch)?;
    let (printer, broken) = Printer::new();
    let lines = Lines { printer, json };
    let work = async move {
        if watch { watch_all(&domain, &lines).await } else { look(&domain, timeout, &lines).await }
    };
    // Nothing is queued, so the connection may end with this process.
    running::until_told(work, broken, async {})
}

/// Where the lines go.
struct Lines {
    printer: Printer,
    /// For people, too.
    json: bool,
}

/// A node as a line for programs. Its shape is documented in the help of `nodes`.
#[derive(Serialize)]
struct Line<'n> {
    node: &'n NodeId,
    name: String,
    up: bool,
    clients: u64,
    offers: &'n [String],
    broadcasts: u64,
    lag: u64,
}

/// Prints the nodes that give a sign of life within a time.
async fn look(domain: &Domain, timeout: Duration, lines: &Lines) -> Result<(), Failure> {
    let visitor = domain.connect().await?;
    let mut changes = visitor.nodes().await?;
    let mut nodes = BTreeMap::new();
    let looking = async {
        loop {
            match changes.next().await? {
                NodeChange::Beat(node) => drop(nodes.insert(node.id.clone(), node)),
                NodeChange::Down(node) => drop(nodes.remove(&node)),
                NodeChange::LinkDown => {
                    return Err::<(), _>(Failure::new(Status::NoConnection, "lost the NATS server"));
                }
                change => say_trouble(&change),
            }
        }
    };
    // It ends with an error, or at the time.
    if let Ok(Err(failure)) = tokio::time::timeout(timeout, looking).await {
        return Err(failure);
    }
    if nodes.is_empty() {
        let text = format!("no node of the domain `{}` gave a sign of life within {timeout:?}", domain.name);
        return Err(Failure::new(Status::Deadline, text));
    }
    nodes.values().for_each(|node| lines.print(node, true));
    Ok(())
}

/// Prints each node when it comes, changes or goes.
async fn watch_all(domain: &Domain, lines: &Lines) -> Result<(), Failure> {
    let visitor = domain.connect().await?;
    let mut changes = visitor.nodes().await?;
    say(format_args!("connected to the domain {}", domain.name));
    let mut nodes = BTreeMap::<NodeId, Node>::new();
    loop {
        match changes.next().await? {
            NodeChange::Beat(node) => {
                let is_same = |before: &Node| {
                    (before.clients, before.lag, &before.offers) == (node.clients, node.lag, &node.offers)
                };
                if !nodes.get(&node.id).is_some_and(is_same) {
                    lines.print(&node, true);
                }
                nodes.insert(node.id.clone(), node);
            }
            NodeChange::Down(node) => {
                if let Some(node) = nodes.remove(&node) {
                    lines.print(&node, false);
                }
            }
            NodeChange::LinkDown => say("lost the NATS server; trying again"),
            NodeChange::LinkUp => say(format_args!("connected to the domain {} again", domain.name)),
            change => say_trouble(&change),
        }
    }
}

fn say_trouble(change: &NodeChange) {
    match change {
        NodeChange::Refused { subject, reason } => {
            say(format_args!("skipped what came under {subject}: {reason}"));
        }
        NodeChange::Trouble(reason) => say(format_args!("no connection to the NATS server: {reason}")),
        _ => {}
    }
}

impl Lines {
    fn print(&self, node: &Node, up: bool) {
        let Node { id, clients, offers, broadcasts, lag, .. } = node;
        let line = Line {
            node: id,
            name: id.name(),
            up,
            clients: *clients,
            offers,
            broadcasts: *broadcasts,
            lag: *lag,
        };
        let json = serde_json::to_string(&line).unwrap_or_default();
        self.printer.line(&json, self.json, |colours| for_people(&line, colours));
    }
}

fn for_people(line: &Line<'_>, colours: bool) -> Shown {
    let Line { node, up, clients, offers, broadcasts, lag, .. } = line;
    let mut shown = Shown::new(colours);
    shown.put_styled(node, paint::CLIENT);
    if !up {
        shown.put(" is gone");
        shown.end_line();
        return shown;
    }
    shown.put(format_args!("  {clients} clients, {broadcasts} broadcasts, lag {lag}"));
    for (number, topic) in offers.iter().enumerate() {
        shown.put(if number == 0 { ", offers " } else { " " });
        shown.put_topic(topic);
    }
    shown.end_line();
    shown
}
