//! `listen --nats`: the broadcasts of all nodes of a domain, as lines.

use std::collections::BTreeSet;
use std::time::Duration;

use socket_ipc::cluster::visitor::Received;

use crate::arguments::Listen;
use crate::failure::{Failure, say};
use crate::nats::Domain;
use crate::output::Printer;
use crate::running;

/// How long an attempt to connect may take. `listen` tries again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) fn run(arguments: Listen) -> Result<(), Failure> {
    let Listen { server, topics, nats } = arguments;
    let domain = Domain::of(&server, &nats, CONNECT_TIMEOUT, true)?;
    let (printer, broken) = Printer::new();
    let work = listen(domain, topics.into_iter().collect(), printer);
    // Nothing is queued, so the connection may end with this process.
    running::until_told(work, broken, async {})
}

async fn listen(domain: Domain, topics: BTreeSet<String>, printer: Printer) -> Result<(), Failure> {
    let visitor = domain.connect().await?;
    let name = &domain.name;
    // All topics, also where some are given: what did not arrive is counted over all of them.
    let mut broadcasts = visitor.broadcasts(None).await?;
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
