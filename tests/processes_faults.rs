//! Whole processes whose system calls fail, whose children outlive them, and whose peers leave at the worst moment.
//!
//! They take longer than `cargo test` should: `cargo test --test processes --test processes_faults -- --ignored`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use support::Place;
use support::process::{Peer, numbers, processor_time, text};

const PING: &[u8] = b"{\"topic\":\"ping\",\"message\":1}\n";

support::whole_processes! {
    a_child_of_a_server_has_none_of_its_descriptors_and_keeps_nobody_from_replacing_it,
    an_accept_that_fails_is_reported_and_made_again,
    a_read_or_write_that_fails_ends_that_connection_and_an_interrupted_one_does_not,
    a_client_whose_calls_fail_tries_again,
    a_start_whose_calls_fail_says_so_and_removes_nothing,
    ten_thousand_connections_that_come_and_go_leave_nothing_behind,
    five_thousand_idle_connections_take_their_places_and_nobody_elses,
    ten_clients_that_never_read_a_gigabyte_cost_their_outboxes_and_then_nothing,
    a_write_to_a_peer_that_has_gone_is_no_signal,
    however_and_whenever_peers_leave_the_server_sleeps_afterwards,
}

fn command(flavour: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
    command.args(arguments).env("PEER_FLAVOUR", flavour);
    command
}

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(flavour, arguments))
}

/// A command of which strace has some system calls fail; what happened is written to `log`.
fn failing(flavour: &str, fault: &str, log: &Path, arguments: &[&str]) -> Command {
    let (call, _) = fault.split_once(':').unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &format!("inject={fault}"), "-o"]);
    command.arg(log).arg(env!("CARGO_BIN_EXE_peer")).args(arguments).env("PEER_FLAVOUR", flavour);
    command
}

fn can_inject_faults() -> bool {
    let there =
        Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        let skipped = "skipped: strace is not here";
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        eprintln!("{skipped}");
    }
    there
}

/// Asks until there is an answer, again whenever the connection was lost meanwhile; returns how often it was.
fn asks(client: &mut Peer, number: u64) -> usize {
    for losses in 0.. {
        client.tell(&format!("ping {number}"));
        loop {
            let line = client.line();
            if line == format!("pong {number}") {
                return losses;
            }
            if line == "reconnect" {
                break;
            }
        }
    }
    unreachable!("it asks without end")
}

/// A process that is nobody's child any more, killed with the test.
struct Orphan(u64);

impl Drop for Orphan {
    fn drop(&mut self) {
        let process = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let _ = process.map(|process| kill_process(process, Signal::KILL));
    }
}

fn a_child_of_a_server_has_none_of_its_descriptors_and_keeps_nobody_from_replacing_it(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    asks(&mut client, 1);
    server.tell("child");
    let child = Orphan(numbers(&server.line_with("child"))[0]);
    for descriptor in std::fs::read_dir(format!("/proc/{}/fd", child.0)).unwrap() {
        // What it opens and closes while it starts is its own.
        let Ok(target) = std::fs::read_link(descriptor.unwrap().path()) else { continue };
        let target = target.to_str().unwrap();
        assert!(!target.starts_with("socket:") && !target.contains(text(place.directory())), "{target}");
    }
    server.kill();
    assert_eq!(client.line(), "disconnect PeerClosed", "the child keeps the connection");
    let server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    assert_eq!((client.line(), client.line()), ("connect".to_owned(), "reconnect".to_owned()));
    assert_eq!(asks(&mut client, 2), 0);
    client.exits_well();
    server.exits_well();
}

fn an_accept_that_fails_is_reported_and_made_again(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    for fault in ["ECONNABORTED", "EINTR", "ENOBUFS", "ENOMEM", "EMFILE", "ENFILE", "EPROTO", "EPERM"] {
        let place = Place::new();
        let (path, log) = (place.socket(), place.directory().join("log"));
        let injection = format!("accept4:error={fault}:when=1..3");
        let server = Peer::of(&mut failing(flavour, &injection, &log, &["server", text(&path)]));
        server.line_with("listening");
        let mut client = start(flavour, &["client", text(&path)]);
        client.line_with("connect");
        assert_eq!(asks(&mut client, 1), 0, "{fault}");
        if fault != "EINTR" {
            // std makes an interrupted call again by itself.
            let error = server.line_with("error ");
            assert!(error.contains(text(&path)), "{error}");
        }
        client.exits_well();
        server.exits_well();
        assert!(std::fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "{fault}: nothing failed");
    }
}

fn a_read_or_write_that_fails_ends_that_connection_and_an_interrupted_one_does_not(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    let faults = [
        ("recvfrom:error=ENOMEM:when=3", true),
        ("recvfrom:error=ENOBUFS:when=3", true),
        ("recvfrom:error=ECONNABORTED:when=2", true),
        ("recvfrom:error=EINTR:when=1..4", false),
        ("sendto:error=ENOBUFS:when=1", true),
        ("sendto:error=ENOMEM:when=2", true),
        ("sendto:error=EINTR:when=1..4", false),
        ("epoll_wait:error=EINTR:when=1+2", false),
    ];
    for (fault, ends) in faults {
        let place = Place::new();
        let (path, log) = (place.socket(), place.directory().join("log"));
        let server = Peer::of(&mut failing(flavour, fault, &log, &["server", text(&path)]));
        server.line_with("listening");
        let mut witness = UnixStream::connect(&path).unwrap();
        let mut client = start(flavour, &["client", text(&path)]);
        client.line_with("connect");
        let losses: usize = (0..6).map(|number| asks(&mut client, number)).sum();
        assert!(losses <= 3, "{fault}: {losses} connections were lost");
        if ends {
            let lost = server.line_with("close ");
            assert!(lost.contains("Io("), "{fault}: {lost}");
        } else {
            assert_eq!(losses, 0, "{fault}");
        }
        // Somebody else's connection, which was there all the time, lives, unless its own calls failed.
        let answered = witness.write_all(PING).and_then(|()| witness.read(&mut [0; 64]));
        assert!(ends || answered.unwrap() > 0, "{fault}");
        client.exits_well();
        server.exits_well();
        assert!(std::fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "{fault}: nothing failed");
    }
}

fn a_client_whose_calls_fail_tries_again(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    let faults = [
        "connect:error=ENOMEM:when=1..2",
        "connect:error=ENOBUFS:when=1..2",
        "connect:error=EINTR:when=1..2",
        "connect:error=EAGAIN:when=1..3",
        "socket:error=EMFILE:when=1",
        "recvfrom:error=ENOMEM:when=2",
        "recvfrom:error=EINTR:when=1..3",
        "sendto:error=ENOBUFS:when=2",
        "sendto:error=EINTR:when=1..3",
    ];
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    let server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    for fault in faults {
        let mut client = Peer::of(&mut failing(flavour, fault, &log, &["client", text(&path)]));
        client.line_with("connect");
        for number in 0..4 {
            asks(&mut client, number);
        }
        client.exits_well();
        assert!(std::fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "{fault}: nothing failed");
    }
    server.exits_well();
}

fn a_start_whose_calls_fail_says_so_and_removes_nothing(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    for (fault, keeps) in [
        ("flock:error=ENOLCK", true),
        ("unlink:error=EPERM", true),
        ("connect:error=EACCES", true),
        ("socket:error=EMFILE:when=2", false),
        ("bind:error=EACCES", false),
        ("listen:error=ENOBUFS", false),
    ] {
        let place = Place::new();
        let (path, log) = (place.socket(), place.directory().join("log"));
        // Dropping a listener of std leaves its file: a server that was killed.
        drop(UnixListener::bind(&path).unwrap());
        let before = std::fs::symlink_metadata(&path).unwrap().ino();
        let output =
            failing(flavour, fault, &log, &["server", text(&path)]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{fault}: it listens all the same");
        assert!(said.contains(text(&path)), "{fault}: {said}");
        let after = std::fs::symlink_metadata(&path).ok().map(|made| made.ino());
        assert!(!keeps || after == Some(before), "{fault}: the file is gone");
        // Nothing stands in the way of the next.
        let server = start(flavour, &["server", text(&path)]);
        server.line_with("listening");
        server.exits_well();
    }
    // Where the mode of an unbound socket can't be set, it is set before anybody can connect.
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    let server = Peer::of(&mut failing(flavour, "fchmod:error=EINVAL", &log, &["server", text(&path)]));
    server.line_with("listening");
    let made = std::fs::symlink_metadata(&path).unwrap();
    assert!(made.file_type().is_socket());
    assert_eq!(made.mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "nothing failed");
    server.exits_well();
}

/// What a server says of itself when asked.
#[derive(Clone, Copy, Debug)]
struct Status {
    clients: u64,
    descriptors: u64,
    tasks: u64,
    /// In KiB.
    resident: u64,
}

/// Asks a server until what it says is as it should be.
fn status_once(server: &mut Peer, awaited: impl Fn(&Status) -> bool) -> Status {
    let asked = Instant::now();
    loop {
        server.tell("status");
        let [clients, descriptors, tasks, resident] = numbers(&server.line_with("status"))[..] else {
            panic!("four numbers");
        };
        let status = Status { clients, descriptors, tasks, resident };
        if awaited(&status) {
            return status;
        }
        assert!(asked.elapsed() < support::DEADLINE, "{status:?}");
    }
}

/// That many connections that come and go, some with a message or part of one.
fn crowd(path: &Path, count: usize) {
    for number in 0..count {
        let mut stream = UnixStream::connect(path).unwrap();
        if number % 3 == 0 {
            // A server that refuses may have closed it already.
            let _ = stream.write_all(&PING[..number % PING.len()]);
        }
    }
}

fn ten_thousand_connections_that_come_and_go_leave_nothing_behind(flavour: &str) {
    // Let in, and refused.
    for max_clients in ["4096", "1"] {
        let place = Place::new();
        let path = place.socket();
        let mut server = start(flavour, &["server", text(&path), max_clients]);
        server.line_with("listening");
        let mut witness = UnixStream::connect(&path).unwrap();
        server.line_with("connection");
        let before = status_once(&mut server, |status| status.clients == 1);
        let settled = |status: &Status| {
            (status.clients, status.descriptors, status.tasks) == (1, before.descriptors, before.tasks)
        };
        crowd(&path, 500);
        let before = status_once(&mut server, settled);
        crowd(&path, 10_000);
        let after = status_once(&mut server, settled);
        println!("{flavour}, at most {max_clients}: {} KiB, then {} KiB", before.resident, after.resident);
        assert!(after.resident < before.resident + 2 * 1024, "{before:?}, then {after:?}");
        witness.write_all(PING).unwrap();
        assert!(witness.read(&mut [0; 64]).unwrap() > 0);
        drop(witness);
        server.exits_well();
    }
}

fn five_thousand_idle_connections_take_their_places_and_nobody_elses(flavour: &str) {
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
    assert_eq!(asks(&mut client, 1), 0);
    let full = status_once(&mut server, |status| status.clients == 4096);
    println!("{flavour}: {} KiB with 4,096 clients", full.resident);
    // Who is one too many is told by the end of the stream.
    let refused = idle.last_mut().unwrap().read(&mut [0; 1]);
    assert!(matches!(refused, Ok(0)), "{refused:?}");
    drop(idle);
    status_once(&mut server, |status| status.clients == 1);
    let late = start(flavour, &["client", text(&path)]);
    late.line_with("connect");
    assert_eq!(asks(&mut client, 2), 0);
    late.exits_well();
    client.exits_well();
    server.exits_well();
}

fn ten_clients_that_never_read_a_gigabyte_cost_their_outboxes_and_then_nothing(flavour: &str) {
    const CLIENTS: u64 = 10;
    // Small blocks are copied into every outbox, large ones shared.
    for len in [8_000, 100_000] {
        let place = Place::new();
        let path = place.socket();
        let blocks = (1 << 30) / len;
        let arguments = ["blast", text(&path), &CLIENTS.to_string(), &blocks.to_string(), &len.to_string()];
        // Without a fixed threshold, glibc keeps the more of what is freed the larger it was (mallopt(3)).
        let mut server = Peer::of(command(flavour, &arguments).env("MALLOC_TRIM_THRESHOLD_", "131072"));
        server.line_with("listening");
        let mut stuck: Vec<_> = (0..CLIENTS).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let line = loop {
            match &*server.line_within(5 * support::DEADLINE) {
                // Whoever is cut comes again.
                "close SlowClient" => stuck.push(UnixStream::connect(&path).unwrap()),
                "complete" => stuck.clear(),
                "close PeerClosed" => {}
                line => break line.to_owned(),
            }
        };
        let [reached, baseline, peak] = numbers(&line)[..] else { panic!("{line}") };
        println!("{flavour}, {blocks} blocks of {len} bytes: {line}");
        assert!(reached > blocks, "the clients were not there: {line}");
        // An outbox is a buffer that doubles, and the old one goes only once its bytes are in the new.
        assert!(peak < baseline + CLIENTS * 3 * 8 * 1024 / 2 + 16 * 1024, "{line}");
        let asked = Instant::now();
        loop {
            server.tell("resident");
            let after = server.line_with("resident");
            // A thread's arena may keep some, above which another thread's block stands.
            if numbers(&after)[0] < baseline + 12 * 1024 {
                break;
            }
            assert!(asked.elapsed() < support::DEADLINE, "{line}, then {after}");
        }
        server.exits_well();
    }
}

fn a_write_to_a_peer_that_has_gone_is_no_signal(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let server = Peer::of(command(flavour, &["server", text(&path)]).env("PEER_SIGPIPE", "default"));
    server.line_with("listening");
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored & (1 << 12), 0, "SIGPIPE is ignored: the test would prove nothing");
    for _ in 0..50 {
        let mut hasty = UnixStream::connect(&path).unwrap();
        hasty.write_all(&PING.repeat(500)).unwrap();
    }
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    assert_eq!(asks(&mut client, 1), 0);
    client.exits_well();
    server.exits_well();
}

fn however_and_whenever_peers_leave_the_server_sleeps_afterwards(flavour: &str) {
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
        let mut deaf = UnixStream::connect(&path).unwrap();
        deaf.write_all(bytes).unwrap();
        deaf.shutdown(Shutdown::Read).unwrap();
        held.push(deaf);
        // With the answer unread, where there is one, which resets the connection.
        UnixStream::connect(&path).unwrap().write_all(bytes).unwrap();
        let mut shut = UnixStream::connect(&path).unwrap();
        shut.write_all(bytes).unwrap();
        shut.shutdown(Shutdown::Both).unwrap();
        held.push(shut);
    }
    // Those that only do not read, and were sent nothing yet, are still there.
    status_once(&mut server, |status| status.clients == 2);
    let process = Pid::from_child(&server.child);
    let before = processor_time(process);
    std::thread::sleep(Duration::from_secs(1));
    let used = processor_time(process) - before;
    assert!(used <= Duration::from_millis(30), "{flavour}: {used:?} of a second");
    drop(held);
    status_once(&mut server, |status| status.clients == 0);
    server.exits_well();
}
