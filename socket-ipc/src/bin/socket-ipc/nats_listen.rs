//! `listen --nats`: the broadcasts of all nodes of a domain, as lines.

use std::collections::BTreeSet;
use std::time::Duration;

use socket_ipc::cluster::visitor::Received;

use crate::arguments::Listen;
use crate::failure::{Failure, Status, say};
use crate::nats::Domain;
use crate::output::Printer;
use crate::running;

/// How long an attempt to connect may take. `listen` tries again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: Listen) -> Result<(), Failure> {
    let Listen { server, topics, send, group, pretty, nats } = arguments;
    if !send.is_empty() {
        return Err(Failure::new(
            Status::Usage,
            "--send is for sockets: over NATS a message goes to one server; use `send`",
        ));
    }
    let domain = Domain::of(&server, &nats, CONNECT_TIMEOUT, true)?;
    let (printer, broken) = Printer::new();
    let printer = printer.pretty(pretty);
    let work = listen(domain, group, topics.into_iter().collect(), printer);
    // Nothing is queued, so the connection may end with this process.
    running::until_told(work, broken, async {})
}

async fn listen(
    domain: Domain,
    group: Option<String>,
    topics: BTreeSet<String>,
    printer: Printer,
) -> Result<(), Failure> {
    let visitor = domain.connect().await?;
    let name = &domain.name;
    // All topics, also where some are given: what did not arrive is counted over all of them.
    let mut broadcasts = match &group {
        None => visitor.broadcasts(None).await?,
        Some(group) => visitor.group_broadcasts(group).await?,
    };
    say(format_args!("connected to the domain {name}"));
    loop {
        match broadcasts.next().await? {
            Received::Broadcast { node, topic, message } if topics.is_empty() || topics.contains(&topic) => {
                printer.broadcast(&node, &topic, &message);
            }
            Received::Lagged { node, count } => say(format_args!("missed {count} broadcasts of {node}")),
            Received::Refused { subject, reason } => {
                say(format_args!("skipped what came under {subject}: {reason}"))
            }
            Received::LinkDown => say("lost the NATS server; trying again"),
            Received::Trouble(reason) => say(format_args!("no connection to the domain {name}: {reason}")),
            Received::LinkUp => say(format_args!("connected to the domain {name} again")),
            _ => {}
        }
    }
}
