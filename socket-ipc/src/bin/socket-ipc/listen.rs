//! `listen`: every message of a server, as a line.

use std::collections::BTreeSet;
use std::sync::Arc;

use socket_ipc::Client;

use crate::arguments::Listen;
use crate::failure::{Failure, say};
use crate::output::Printer;
use crate::{reach, running};

pub(crate) fn run(arguments: Listen) -> Result<(), Failure> {
    #[cfg(feature = "nats")]
    if arguments.nats.is_given() {
        return crate::nats_listen::run(arguments);
    }
    let (printer, broken) = Printer::new();
    let printer = Arc::new(printer);
    let client = reach::builder(&arguments.server).build();
    if arguments.topics.is_empty() {
        client.on_message(move |message, topic| printer.message(None, topic, &message));
    } else {
        // A topic that is given twice is printed once.
        for topic in BTreeSet::from_iter(arguments.topics) {
            let printer = Arc::clone(&printer);
            client.on_topic(&topic.clone(), move |message| printer.message(None, &topic, &message));
        }
    }
    say_what_happens(&client, arguments.server.path.display().to_string());
    let work = async move {
        client.connect().await?;
        client.closed().await;
        Ok(())
    };
    // Nothing is queued, so the connection may end with this process.
    running::until_told(work, broken, async {})
}

fn say_what_happens(client: &Client, path: String) {
    reach::say_what_is_new(client);
    reach::say_what_is_wrong(client);
    let again = path.clone();
    client.on_connect({
        let first = std::sync::Once::new();
        move || first.call_once(|| say(format_args!("connected to {path}")))
    });
    client.on_reconnect(move || say(format_args!("connected to {again} again")));
    client.on_disconnect(|reason| say(format_args!("lost the server: {reason}; trying again")));
}
