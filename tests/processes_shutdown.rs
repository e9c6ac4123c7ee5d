//! Whole processes that a signal asks to end: what has begun is served, and a second signal ends them at once.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket_ipc::{Client, CloseCause, ErrorReply, RequestError};
use support::daemon::{BlockThread, Forever, Nap, Numbers, Watch};
use support::process::{Peer, command, once, text};
use support::{Events, Place, soon};

/// What the daemon of these tests drains for at most.
const DRAIN: Duration = Duration::from_secs(2);

support::whole_processes! {
    signal_every_request_and_stream_gets_its_reply_or_an_error_by_name,
    signal_request_without_a_reply_ends_after_drain,
    signal_reaches_every_server_of_a_process,
    signal_ends_a_process_that_waits_for_it_no_more,
    second_signal_ends_the_process_at_once,
    second_signal_ends_a_process_whose_thread_is_blocked,
}

fn daemon(flavour: &str, place: &Place) -> Peer {
    let daemon =
        Peer::of(&mut command(env!("CARGO_BIN_EXE_peer"), flavour, &["daemon", text(&place.socket())]));
    assert_eq!(daemon.line(), "listening");
    daemon
}

/// Runs the client's part of a test on the runtime of the flavour.
fn run(flavour: &str, test: impl Future<Output = ()>) {
    match flavour {
        "multi_thread" => support::run(tokio::runtime::Builder::new_multi_thread(), test),
        _ => support::run(tokio::runtime::Builder::new_current_thread(), test),
    }
}

async fn connected(place: &Place) -> (Client, Events<CloseCause>) {
    let client = Client::builder(place.socket()).retry_delay(Duration::from_secs(3_600)).build();
    let ended = Events::new();
    let report = ended.reporter();
    client.on_disconnect(move |reason| report(reason.cause.clone()));
    soon("a connection", client.connect()).await.unwrap();
    (client, ended)
}

fn signal_every_request_and_stream_gets_its_reply_or_an_error_by_name(flavour: &str) {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut daemon = daemon(flavour, &place);
        run(flavour, async {
            let (client, mut ended) = connected(&place).await;
            let naps: Vec<_> = (0..50).map(|number| client.request(&Nap(500 + number))).collect();
            let watches: Vec<_> = (0..50).map(|_| client.request(&Watch)).collect();
            let mut streams: Vec<_> = (0..50).map(|_| client.request_stream(&Numbers).window(4096)).collect();
            for items in &mut streams {
                soon("the start", items.started()).await.unwrap();
            }
            daemon.signal(signal);
            for (number, nap) in (0..).zip(naps) {
                assert_eq!(soon("a reply", nap).await.unwrap(), 500 + number);
            }
            for watch in watches {
                let error = soon("an error reply", watch).await.unwrap_err();
                assert!(
                    matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "over"),
                    "{error}"
                );
            }
            for mut items in streams {
                let mut last = None;
                while let Some(item) = soon("an item", items.next()).await {
                    last = Some(item);
                }
                let error = last.unwrap().unwrap_err();
                assert!(
                    matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == ErrorReply::CLOSING),
                    "{error}"
                );
            }
            assert!(matches!(ended.next().await, CloseCause::PeerClosed));
        });
        assert_eq!((daemon.line(), daemon.line()), ("closing".to_owned(), "closed".to_owned()));
        assert!(daemon.child.wait().unwrap().success());
        assert!(!place.socket().exists());
    }
}

fn signal_request_without_a_reply_ends_after_drain(flavour: &str) {
    let place = Place::new();
    let mut daemon = daemon(flavour, &place);
    run(flavour, async {
        let (client, mut ended) = connected(&place).await;
        let request = client.request(&Forever);
        assert_eq!(soon("a reply", client.request(&Nap(0))).await.unwrap(), 0);
        let began = Instant::now();
        daemon.signal(Signal::TERM);
        let error = soon("the end", request).await.unwrap_err();
        assert!(matches!(error, RequestError::ConnectionLost { .. }), "{error}");
        ended.next().await;
        assert!(began.elapsed() >= DRAIN - Duration::from_millis(100), "{:?}", began.elapsed());
        assert!(daemon.child.wait().unwrap().success());
        // A second for a machine that does other things, too.
        assert!(began.elapsed() < DRAIN + Duration::from_secs(1), "{:?}", began.elapsed());
    });
    assert!(!place.socket().exists());
}

fn signal_reaches_every_server_of_a_process(flavour: &str) {
    let (place, other) = (Place::new(), Place::new());
    let paths = ["daemon", text(&place.socket()), text(&other.socket())].map(str::to_owned);
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let mut daemon = Peer::of(&mut command(env!("CARGO_BIN_EXE_peer"), flavour, &paths));
    for expected in ["listening", "listening"] {
        assert_eq!(daemon.line(), expected);
    }
    daemon.signal(Signal::INT);
    let mut lines: Vec<_> = (0..4).map(|_| daemon.line()).collect();
    lines.sort();
    assert_eq!(lines, ["closed", "closed", "closing", "closing"]);
    assert!(daemon.child.wait().unwrap().success());
    assert!(!place.socket().exists() && !other.socket().exists());
}

fn signal_ends_a_process_that_waits_for_it_no_more(flavour: &str) {
    let mut process = Peer::of(&mut command(env!("CARGO_BIN_EXE_peer"), flavour, &["no signal"]));
    assert_eq!(process.line(), "dropped");
    process.signal(Signal::TERM);
    assert_eq!(process.child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
}

fn second_signal_ends_the_process_at_once(flavour: &str) {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
        let place = Place::new();
        let mut daemon = daemon(flavour, &place);
        run(flavour, async {
            let (client, _ended) = connected(&place).await;
            let _request = client.request(&Forever);
            assert_eq!(soon("a reply", client.request(&Nap(0))).await.unwrap(), 0);
            daemon.signal(first);
            assert_eq!(daemon.line(), "closing");
            let began = Instant::now();
            daemon.signal(second);
            assert_eq!(daemon.child.wait().unwrap().signal(), Some(second.as_raw()));
            assert!(began.elapsed() < DRAIN, "{:?}", began.elapsed());
        });
    }
}

fn second_signal_ends_a_process_whose_thread_is_blocked(flavour: &str) {
    let place = Place::new();
    let mut daemon = daemon(flavour, &place);
    run(flavour, async {
        let (client, _ended) = connected(&place).await;
        client.send(&BlockThread).unwrap();
        soon("writing", client.flush()).await.unwrap();
        assert_eq!(daemon.line(), "blocked");
        // Two signals are one if the second comes while the first is pending, so they are sent until the process has ended.
        once("the end of the process", || {
            daemon.signal(Signal::TERM);
            daemon.child.try_wait().unwrap()
        });
        assert_eq!(daemon.child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    });
}
