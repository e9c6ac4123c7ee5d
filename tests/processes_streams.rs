//! Streams between whole processes, one of which is killed.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, CloseCause, RequestError, Topic};
use support::process::{Peer, command, text};
use support::{Place, soon};

/// A stream of numbers that never ends.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = u64)]
struct Numbers;

support::whole_processes! {
    client_killed_its_streams_are_dropped_ten_thousand_times,
    server_killed_streams_fail_at_once,
}

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(env!("CARGO_BIN_EXE_peer"), flavour, arguments))
}

fn client_killed_its_streams_are_dropped_ten_thousand_times(flavour: &str) {
    const ROUNDS: usize = 20;
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let before = server.status_once(|status| status.clients == 0);
    let mut resident = 0;
    for round in 1..=ROUNDS {
        let mut client = start(flavour, &["client", text(&path)]);
        client.line_with("connect");
        client.tell("streams 500");
        assert_eq!(client.line(), "streaming 500");
        client.kill();
        assert_eq!(server.line(), format!("connection {round}"));
        assert_eq!(server.line(), format!("close {round} PeerClosed"));
        server.tell("streams");
        // The streams of a connection are dropped before its end is reported.
        assert_eq!(server.line(), format!("streams {} {}", 500 * round, 500 * round));
        if round == 2 {
            // What is allocated once is allocated by now.
            resident = server.status_once(|status| status.clients == 0).resident;
        }
    }
    let after = server.status_once(|status| {
        (status.clients, status.descriptors, status.tasks) == (0, before.descriptors, before.tasks)
    });
    println!("before: {before:?}, after: {after:?}");
    assert!(after.resident < resident + 8 * 1024, "the server grew from {resident} KiB: {after:?}");
    server.exits_well();
}

fn server_killed_streams_fail_at_once(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let runtime = match flavour {
        "multi_thread" => tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    runtime.unwrap().block_on(async {
        let client = Client::builder(&path).retry_delay(Duration::from_secs(3_600)).build();
        client.connect().await.unwrap();
        let mut streams: Vec<_> = (0..500).map(|_| client.request_stream(&Numbers).window(4096)).collect();
        for items in &mut streams {
            soon("the start", items.started()).await.unwrap();
        }
        server.kill();
        for mut items in streams {
            let (mut count, mut error) = (0, None);
            while let Some(item) = soon("an item", items.next()).await {
                match item {
                    Ok(number) => {
                        assert_eq!(number, count);
                        count += 1;
                    }
                    Err(lost) => error = Some(lost),
                }
            }
            assert!(
                matches!(&error, Some(RequestError::ConnectionLost { topic, cause: CloseCause::PeerClosed }) if topic == "numbers"),
                "{error:?}"
            );
        }
    });
}
