//! The number of system calls that messages take: a needless wake-up shows in it.
//!
//! strace counts them, so the counts do not depend on how busy the machine is, as times do.
//!
//! These tests take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use support::Place;
use support::process::{Peer, text};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

support::whole_processes! {
    round_trips_take_no_more_calls_than_a_loop_by_hand,
    requests_take_no_more_calls_than_a_loop_by_hand,
    one_way_flood_takes_few_calls,
}

/// The calls of a process, by name.
struct Calls(HashMap<String, u64>);

impl Calls {
    /// What `strace -c` has written.
    fn read(log: &Path) -> Self {
        let table = fs::read_to_string(log).unwrap();
        let calls = table.lines().filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            Some(((*fields.last()?).to_owned(), fields.get(3)?.parse().ok()?))
        });
        Self(calls.collect())
    }

    fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

fn counted(flavour: &str, log: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-qq", "-o"]).arg(log).arg(PEER).args(arguments).env("PEER_FLAVOUR", flavour);
    command
}

/// The calls of a server and of a client that sends `count` messages to it; `None` without strace.
fn calls(flavour: &str, kind: &str, count: u64) -> Option<[(&'static str, Calls); 2]> {
    let is_here = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    if !is_here.is_ok_and(|status| status.success()) {
        support::skip("counting system calls", "strace is not here");
        return None;
    }
    let place = Place::new();
    let path = place.socket();
    let logs = ["server", "client"].map(|name| place.directory().join(name));
    let server = Peer::of(&mut counted(flavour, &logs[0], &["server", text(&path)]));
    server.line_with("listening");
    let client =
        Peer::of(&mut counted(flavour, &logs[1], &["traffic", text(&path), kind, &count.to_string()]));
    client.exits_well();
    server.exits_well();
    let [server, client] = logs.map(|log| Calls::read(&log));
    Some([("server", server), ("client", client)])
}

/// Asserts that a process has made about `each` calls for each of `count` messages. It may make a tenth more, by which
/// a loop by hand varies, and a few more for starting, closing and standard input.
fn assert_calls((process, calls): &(&str, Calls), name: &str, count: u64, each: f64) {
    const BESIDE: f64 = 200.0;
    let (made, most) = (calls.of(name), count as f64 * each * 1.1 + BESIDE);
    assert!(made as f64 <= most, "the {process} made {made} calls of {name} for {count} messages");
}

/// So many messages that the calls beside them hardly count.
const COUNT: u64 = 4_000;

/// The loop by hand of `benches/compare` takes one write and one read each way. It looks for events twice: the kernel
/// also reports that the peer has read, which makes the socket writable.
fn assert_as_by_hand(processes: &[(&str, Calls)]) {
    for process in processes {
        assert_calls(process, "futex", COUNT, 0.0);
        for (name, each) in [("sendto", 1.0), ("recvfrom", 1.0), ("epoll_wait", 2.0)] {
            assert_calls(process, name, COUNT, each);
        }
        // Such a write wakes a thread that waits for events.
        assert_calls(process, "write", COUNT, 0.0);
    }
}

fn round_trips_take_no_more_calls_than_a_loop_by_hand(flavour: &str) {
    if let Some(processes) = calls(flavour, "pings", COUNT) {
        assert_as_by_hand(&processes);
    }
}

fn requests_take_no_more_calls_than_a_loop_by_hand(flavour: &str) {
    if let Some(processes) = calls(flavour, "requests", COUNT) {
        assert_as_by_hand(&processes);
    }
}

/// The kernel takes at most about 200 KB at a time, and the server yields every 64 KiB: the counts depend on the bytes,
/// not on the messages. They vary with how two threads share the processors: one write for 80 messages was the most.
fn one_way_flood_takes_few_calls(flavour: &str) {
    const NOTES: u64 = 200_000;
    if let Some(processes) = calls(flavour, "notes", NOTES) {
        for process in &processes {
            for name in ["futex", "sendto", "recvfrom", "epoll_wait", "write"] {
                assert_calls(process, name, NOTES, 0.02);
            }
        }
    }
}
