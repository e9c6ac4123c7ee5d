//! Clients in several languages pass one and the same suite: a table of behaviours, against one server.
//!
//! A client is a program that takes the path of a socket, reads the names of behaviours, one a line, from its standard input,
//! shows each, and prints lines of JSON:
//!
//! | line | when |
//! |---|---|
//! | `{"peer":"Node v20.1.0"}` | first: the language and its version |
//! | `{"ready":"restart"}` | the server may be killed now |
//! | `{"behaviour":"messages","saw":{…}}` | after each behaviour: what the client saw of it, or the text of an error |
//!
//! `behaviours.rs` is the table, `program/` the server and the client in Rust, and `tests/foreign/clients/` has the clients
//! in other languages, on the files that are generated for them.

mod behaviours;
mod languages;
mod servers;

use std::process::Stdio;

use behaviours::{Behaviour, Integers, behaviours};
use serde_json::Value;
use servers::{NODE_WIRES, Servers};
use support::foreign::announce;
use support::{DEADLINE, soon, within};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// Runs a client, and compares what it saw with the rows.
async fn passes(mut client: Command, behaviours: &[Behaviour], servers: &mut Servers) {
    servers.exchanged().await; // What was exchanged before is no part of it.
    client.arg(servers.place.socket());
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut client = client.spawn().unwrap();
    let mut input = client.stdin.take().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut line = async || {
        let line = within("a line of the client", 3 * DEADLINE, lines.next_line()).await.unwrap();
        line.map(|line| {
            serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
        })
    };
    let first = line().await.expect("a client prints its version");
    let peer = first["peer"].as_str().unwrap_or_else(|| panic!("not a version: {first}")).to_owned();
    let (mut differing, mut exchanged) = (Vec::new(), 0);
    for Behaviour { name, saw } in behaviours {
        soon("the name of a behaviour", input.write_all(format!("{name}\n").as_bytes())).await.unwrap();
        let mut printed = line().await.unwrap_or_else(|| panic!("{peer} ended before {name:?}"));
        if printed["ready"] == *name {
            servers.restart().await;
            printed = line().await.unwrap_or_else(|| panic!("{peer} ended in {name:?}"));
        }
        assert_eq!(printed["behaviour"], *name, "{printed}");
        if printed["saw"] != *saw {
            differing.push(format!("{name}:\n  expected {saw}\n  saw      {}", printed["saw"]));
        }
        // No more is exchanged until the next name. Where there is no server, or one that is not understood, nothing is.
        let of_behaviour = servers.exchanged().await;
        let is_silent = ["absent", "wrong wire"].contains(name);
        assert_eq!(
            of_behaviour == 0,
            is_silent,
            "{name}: {of_behaviour} messages were exchanged with {peer}"
        );
        exchanged += of_behaviour;
    }
    drop(input);
    assert!(differing.is_empty(), "{peer}:\n{}", differing.join("\n"));
    assert_eq!(line().await, None, "{peer} still prints");
    let status = within("the end of the client", DEADLINE, client.wait()).await.unwrap();
    assert!(status.success(), "{peer}: {status}");
    announce(&format!(
        "the suite of clients: {} behaviours, {exchanged} messages exchanged with {peer}",
        behaviours.len()
    ));
}

/// Runs a test on one flavour of runtime: its own part is to compare lines.
fn run(test: impl Future<Output = ()>) {
    support::run(tokio::runtime::Builder::new_current_thread(), test);
}

#[test]
fn suite_client_in_rust_passes() {
    run(async {
        let mut servers = Servers::start().await;
        passes(languages::rust(), &behaviours(Integers::Exact), &mut servers).await;
    });
}

#[test]
fn suite_client_in_typescript_passes() {
    run(async {
        let mut servers = Servers::start().await;
        let Some(clients) = languages::typescript(&servers).await else { return };
        passes(clients.suite, &behaviours(Integers::Refused), &mut servers).await;
        let mut rows = behaviours(Integers::Exact);
        rows.retain(|row| ["values", "integers"].contains(&row.name));
        passes(clients.bigints, &rows, &mut servers).await;
        for (wire, client) in NODE_WIRES.into_iter().zip(clients.node) {
            passes(client, &[behaviours::node_wire(wire, true)], &mut servers).await;
        }
        holds_at_any_server(clients.any_server, &servers).await;
    });
}

/// Runs a client at servers of its own, which send any bytes.
async fn holds_at_any_server(mut client: Command, servers: &Servers) {
    let running = client.arg(servers.place.socket()).kill_on_drop(true).output();
    let output = within("the end of the client", DEADLINE, running).await.unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success() && stderr.is_empty(), "{stdout}{stderr}");
    assert_eq!(stdout.lines().count(), 14, "{stdout}");
}

#[test]
fn suite_client_in_python_passes() {
    run(async {
        let mut servers = Servers::start().await;
        let Some(clients) = languages::python(&servers).await else { return };
        passes(clients.suite, &behaviours(Integers::Exact), &mut servers).await;
        for (wire, client) in NODE_WIRES.into_iter().zip(clients.node) {
            passes(client, &[behaviours::node_wire(wire, false)], &mut servers).await;
        }
    });
}
