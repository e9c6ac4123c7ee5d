//! Whole processes: their system calls fail, another program acts in between, or their children outlive them.
//!
//! They take longer than `cargo test` should: `cargo test --features nats --test 'processes*' -- --ignored`.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use support::process::{PING, Peer, command, numbers, text};
use support::{DEADLINE, Place};

const PEER: &str = env!("CARGO_BIN_EXE_peer");

support::whole_processes! {
    server_child_process_has_no_descriptors_and_blocks_no_restart,
    accept_fails_is_reported_and_retried,
    read_or_write_fails_ends_that_connection_unless_interrupted,
    client_system_call_fails_retries,
    listen_system_call_fails_returns_error_and_removes_nothing,
    socket_replaced_while_probed_is_left_alone,
    lock_replaced_while_taken_is_taken_anew,
    live_server_without_file_locks_is_not_displaced,
}

fn start(flavour: &str, arguments: &[&str]) -> Peer {
    Peer::of(&mut command(PEER, flavour, arguments))
}

/// A command under strace, which makes some system calls fail and writes what happened to `log`.
fn failing(flavour: &str, fault: &str, log: &Path, arguments: &[&str]) -> Command {
    let (call, _) = fault.split_once(':').unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={call}"), "-e", &format!("inject={fault}"), "-o"]);
    command.arg(log).arg(PEER).args(arguments).env("PEER_FLAVOUR", flavour);
    command
}

fn can_inject_faults() -> bool {
    let there =
        Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        support::skip("injecting faults", "strace is not here");
    }
    there
}

/// A process that strace stopped in a system call. It continues when this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn once(log: &Path) -> Self {
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(log).unwrap_or_default();
            if let Some(line) = said.lines().find(|line| line.contains("--- stopped by SIGSTOP ---")) {
                return Self(
                    Pid::from_raw(line.split_whitespace().next().unwrap().parse().unwrap()).unwrap(),
                );
            }
            assert!(started.elapsed() < DEADLINE, "nothing stopped: {said}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }
}

/// A process whose parent has ended; killed with the test.
struct Orphan(u64);

impl Drop for Orphan {
    fn drop(&mut self) {
        let process = i32::try_from(self.0).ok().and_then(Pid::from_raw);
        let _ = process.map(|process| kill_process(process, Signal::KILL));
    }
}

fn server_child_process_has_no_descriptors_and_blocks_no_restart(flavour: &str) {
    let place = Place::new();
    let path = place.socket();
    let mut server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    client.pings(1);
    server.tell("child");
    let child = Orphan(numbers(&server.line_with("child"))[0]);
    for descriptor in fs::read_dir(format!("/proc/{}/fd", child.0)).unwrap() {
        // A descriptor that it opened while starting may be closed by now.
        let Ok(target) = fs::read_link(descriptor.unwrap().path()) else { continue };
        let target = target.to_str().unwrap();
        assert!(!target.starts_with("socket:") && !target.contains(text(place.directory())), "{target}");
    }
    server.kill();
    assert_eq!(client.line(), "disconnect PeerClosed", "the child keeps the connection");
    let server = start(flavour, &["server", text(&path)]);
    server.line_with("listening");
    assert_eq!((client.line(), client.line()), ("connect".to_owned(), "reconnect".to_owned()));
    assert_eq!(client.pings(2), 0);
    client.exits_well();
    server.exits_well();
}

fn accept_fails_is_reported_and_retried(flavour: &str) {
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
        assert_eq!(client.pings(1), 0, "{fault}");
        if fault != "EINTR" {
            // std repeats an interrupted call by itself.
            let error = server.line_with("error ");
            assert!(error.contains(text(&path)), "{error}");
        }
        client.exits_well();
        server.exits_well();
        assert!(fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "{fault}: nothing failed");
    }
}

fn read_or_write_fails_ends_that_connection_unless_interrupted(flavour: &str) {
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
        let losses: usize = (0..6).map(|number| client.pings(number)).sum();
        assert!(losses <= 3, "{fault}: {losses} connections were lost");
        if ends {
            let lost = server.line_with("close ");
            assert!(lost.contains("Io("), "{fault}: {lost}");
        } else {
            assert_eq!(losses, 0, "{fault}");
        }
        // The connection of the witness lives, unless its own calls failed.
        let replied = witness.write_all(PING).and_then(|()| witness.read(&mut [0; 64]));
        assert!(ends || replied.unwrap() > 0, "{fault}");
        client.exits_well();
        server.exits_well();
        assert!(fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "{fault}: nothing failed");
    }
}

fn client_system_call_fails_retries(flavour: &str) {
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
            client.pings(number);
        }
        client.exits_well();
        assert!(fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "{fault}: nothing failed");
    }
    server.exits_well();
}

fn listen_system_call_fails_returns_error_and_removes_nothing(flavour: &str) {
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
        // A dropped listener of std leaves its file, as a killed server does.
        drop(UnixListener::bind(&path).unwrap());
        let before = fs::symlink_metadata(&path).unwrap().ino();
        let output =
            failing(flavour, fault, &log, &["server", text(&path)]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{fault}: it listens all the same");
        assert!(said.contains(text(&path)), "{fault}: {said}");
        let after = fs::symlink_metadata(&path).ok().map(|made| made.ino());
        assert!(!keeps || after == Some(before), "{fault}: the file is gone");
        // The next server starts.
        let server = start(flavour, &["server", text(&path)]);
        server.line_with("listening");
        server.exits_well();
    }
    // If the mode of an unbound socket can't be set, it is set before a client can connect.
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    let server = Peer::of(&mut failing(flavour, "fchmod:error=EINVAL", &log, &["server", text(&path)]));
    server.line_with("listening");
    let made = fs::symlink_metadata(&path).unwrap();
    assert!(made.file_type().is_socket());
    assert_eq!(made.mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&log).unwrap().contains("(INJECTED)"), "nothing failed");
    server.exits_well();
}

fn socket_replaced_while_probed_is_left_alone(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    let place = Place::new();
    let (path, log, beside) =
        (place.socket(), place.directory().join("log"), place.directory().join("beside"));
    drop(UnixListener::bind(&path).unwrap());
    let mut command = failing(flavour, "connect:signal=SIGSTOP:when=1", &log, &["server", text(&path)]);
    let start = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stopped = Stopped::once(&log);
    // The kernel has refused the probe's connection. The path is never free in between.
    let _other = UnixListener::bind(&beside).unwrap();
    fs::rename(&beside, &path).unwrap();
    let before = fs::symlink_metadata(&path).unwrap().ino();
    drop(stopped);
    let output = start.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "it listens all the same");
    assert!(said.contains("another program has just bound it"), "{said}");
    assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before);
    UnixStream::connect(&path).unwrap();
}

fn lock_replaced_while_taken_is_taken_anew(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    for replaced in [false, true] {
        let place = Place::new();
        let (path, log) = (place.socket(), place.directory().join("log"));
        let lock = place.directory().join("test.sock.lock");
        let fault = "flock:signal=SIGSTOP:when=1";
        let server = Peer::of(&mut failing(flavour, fault, &log, &["server", text(&path)]));
        let stopped = Stopped::once(&log);
        // As the server that held the lock does when it ends.
        fs::remove_file(&lock).unwrap();
        let next = replaced.then(|| File::create(&lock).unwrap().metadata().unwrap().ino());
        drop(stopped);
        server.line_with("listening");
        let held = File::open(&lock).unwrap();
        assert!(next.is_none_or(|next| held.metadata().unwrap().ino() == next));
        assert!(matches!(held.try_lock(), Err(TryLockError::WouldBlock)), "it is not locked");
        server.exits_well();
        assert!(!lock.exists() && !path.exists());
    }
}

fn live_server_without_file_locks_is_not_displaced(flavour: &str) {
    if !can_inject_faults() {
        return;
    }
    let place = Place::new();
    let (path, log) = (place.socket(), place.directory().join("log"));
    drop(UnixListener::bind(&path).unwrap());
    let start_without = || failing(flavour, "flock:error=EOPNOTSUPP", &log, &["server", text(&path)]);
    let server = Peer::of(&mut start_without());
    server.line_with("listening");
    let before = fs::symlink_metadata(&path).unwrap().ino();
    for _ in 0..3 {
        let output = start_without().stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("a server is alive there"), "{said}");
        assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before);
    }
    let mut client = start(flavour, &["client", text(&path)]);
    client.line_with("connect");
    assert_eq!(client.pings(1), 0);
    client.exits_well();
    server.exits_well();
    assert!(!path.exists());
}
