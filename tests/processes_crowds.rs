//! Thousands of peers that come and go, never read, or leave at the worst moment, and what remains of them.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use support::Place;
use support::process::{PING, Peer, Status, command, numbers, processor_time, text};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

support::whole_processes! {
    server_ten_thousand_short_connections_leave_nothing_behind,
    server_five_thousand_idle_connections_still_serves_others,
    server_ten_clients_never_read_costs_their_outboxes_then_nothing,
    server_write_to_gone_peer_raises_no_signal,
    server_peers_left_in_any_way_uses_no_processor_time,
}

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(PEER, flavour, arguments))
}

/// Opens and closes `count` connections, some with a message or part of one.
fn crowd(path: &Path, count: usize) {
    for number in 0..count {
        let mut stream = UnixStream::connect(path).unwrap();
        if number % 3 == 0 {
            // A server with too many clients may have closed it already.
            let _ = stream.write_all(&PING[..number % PING.len()]);
        }
    }
}

fn server_ten_thousand_short_connections_leave_nothing_behind(flavour: &str) {
    // Let in, and turned away.
    for max_clients in ["4096", "1"] {
        let place = Place::new();
        let path = place.socket();
        let mut server = start(flavour, &["server", text(&path), max_clients]);
        server.line_with("listening");
        let mut witness = UnixStream::connect(&path).unwrap();
        server.line_with("connection");
        let before = server.status_once(|status| status.clients == 1);
        let settled = |status: &Status| {
            (status.clients, status.descriptors, status.tasks) == (1, before.descriptors, before.tasks)
        };
        crowd(&path, 500);
        let before = server.status_once(settled);
        crowd(&path, 10_000);
        let after = server.status_once(settled);
        println!("{flavour}, at most {max_clients}: {} KiB, then {} KiB", before.resident, after.resident);
        assert!(after.resident < before.resident + 2 * 1024, "{before:?}, then {after:?}");
        witness.write_all(PING).unwrap();
        assert!(witness.read(&mut [0; 64]).unwrap() > 0);
        drop(witness);
        server.exits_well();
    }
}

fn server_five_thousand_idle_connections_still_serves_others(flavour: &str) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(limit.maximum.is_none_or(|files| files >= 6_000), "the hard limit of open files is {limit:?}");
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    let mut idle: Vec<_> = (0..5_000).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(client.pings(1), 0);
    let full = server.status_once(|status| status.clients == 4096);
    println!("{flavour}: {} KiB with 4,096 clients", full.resident);
    // A client too many sees the end of the stream.
    let read = idle.last_mut().unwrap().read(&mut [0; 1]);
    assert!(matches!(read, Ok(0)), "{read:?}");
    drop(idle);
    server.status_once(|status| status.clients == 1);
    let late = start(flavour, &["client", text(&path)]);
    late.line_with("connect");
    assert_eq!(client.pings(2), 0);
    late.exits_well();
    client.exits_well();
    server.exits_well();
}

fn server_ten_clients_never_read_costs_their_outboxes_then_nothing(flavour: &str) {
    const CLIENTS: u64 = 10;
    // Small blocks are copied into every outbox, large ones shared.
    for len in [8_000, 100_000] {
        let place = Place::new();
        let path = place.socket();
        let blocks = (1 << 30) / len;
        let arguments = ["blast", text(&path), &CLIENTS.to_string(), &blocks.to_string(), &len.to_string()];
        // Without a fixed threshold, glibc keeps more freed memory after larger blocks (mallopt(3)).
        let mut server = Peer::of(command(PEER, flavour, &arguments).env("MALLOC_TRIM_THRESHOLD_", "131072"));
        server.line_with("listening");
        let mut stuck: Vec<_> = (0..CLIENTS).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let mut complete = false;
        let line = loop {
            match &*server.line_within(5 * support::DEADLINE) {
                // An aborted client reconnects, unless all blocks have been sent: its close may be reported after that.
                "close SlowClient" if !complete => stuck.push(UnixStream::connect(&path).unwrap()),
                "close SlowClient" | "close PeerClosed" => {}
                "complete" => {
                    complete = true;
                    stuck.clear();
                }
                line => break line.to_owned(),
            }
        };
        let [reached, baseline, peak] = numbers(&line)[..] else { panic!("{line}") };
        println!("{flavour}, {blocks} blocks of {len} bytes: {line}");
        assert!(reached > blocks, "the clients were not there: {line}");
        // An outbox is a buffer that doubles. The old one is freed only once its bytes are in the new one.
        assert!(peak < baseline + CLIENTS * 3 * 8 * 1024 / 2 + 16 * 1024, "{line}");
        let start_time = Instant::now();
        loop {
            server.tell("resident");
            let after = server.line_with("resident");
            // A thread's arena keeps memory below a block of another thread.
            if numbers(&after)[0] < baseline + 12 * 1024 {
                break;
            }
            assert!(start_time.elapsed() < support::DEADLINE, "{line}, then {after}");
        }
        server.exits_well();
    }
}

fn server_write_to_gone_peer_raises_no_signal(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let server = Peer::of(command(PEER, flavour, &["server", text(&path)]).env("PEER_SIGPIPE", "default"));
    server.line_with("listening");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored & (1 << 12), 0, "SIGPIPE is ignored, so the test would prove nothing");
    for _ in 0..50 {
        let mut hasty = UnixStream::connect(&path).unwrap();
        hasty.write_all(&PING.repeat(500)).unwrap();
    }
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    assert_eq!(client.pings(1), 0);
    client.exits_well();
    server.exits_well();
}

fn server_peers_left_in_any_way_uses_no_processor_time(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut held = Vec::new();
    // Nothing, part of a message, a message, a message and part of one.
    for sent in [0, 7, PING.len(), PING.len() + 7] {
        let bytes = &PING.repeat(2)[..sent];
        let mut half_closed = UnixStream::connect(&path).unwrap();
        half_closed.write_all(bytes).unwrap();
        half_closed.shutdown(Shutdown::Write).unwrap();
        held.push(half_closed);
        let mut read_closed = UnixStream::connect(&path).unwrap();
        read_closed.write_all(bytes).unwrap();
        read_closed.shutdown(Shutdown::Read).unwrap();
        held.push(read_closed);
        // A reply is unread here, if there is one, which resets the connection.
        UnixStream::connect(&path).unwrap().write_all(bytes).unwrap();
        let mut shut = UnixStream::connect(&path).unwrap();
        shut.write_all(bytes).unwrap();
        shut.shutdown(Shutdown::Both).unwrap();
        held.push(shut);
    }
    // The peers that only do not read, and were sent nothing yet, are still connected.
    server.status_once(|status| status.clients == 2);
    let process = Pid::from_child(&server.child);
    let before = processor_time(process);
    std::thread::sleep(Duration::from_secs(1));
    let used = processor_time(process) - before;
    assert!(used <= Duration::from_millis(30), "{flavour}: {used:?} of a second");
    drop(held);
    server.status_once(|status| status.clients == 0);
    server.exits_well();
}
