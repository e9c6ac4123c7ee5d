//! Servers that are none: each subcommand names what is wrong, with the exit status of its help.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::Signal;

use super::command::{DEADLINE, End, Place, Running, accept, command, run_with};

/// Each subcommand that has a server, what it needs beside the path, and whether it takes a time-out.
const COMMANDS: [(&str, &[&str], bool); 6] = [
    ("listen", &[], false),
    ("send", &["t", "1", "--wait", "t"], true),
    ("request", &["t", "1"], true),
    ("topics", &[], true),
    ("types", &["--lang", "typescript"], true),
    ("status", &["--interval", "0.01"], true),
];

/// A time-out that ends no command: an error comes earlier.
const LONG: &str = "--timeout=60";

/// One that does.
const SHORT: &str = "--timeout=0.3";

/// Runs each subcommand against a server that does this with its one connection. `check` gets how it ended; `listen` is
/// told to end where it goes on.
fn each(
    timeout: &str,
    goes_on: bool,
    serve: impl Fn(UnixStream) + Send + Sync + Copy + 'static,
    check: impl Fn(&str, End),
) {
    for (name, arguments, takes_timeout) in COMMANDS {
        let place = Place::new();
        let path = place.socket();
        let listener = UnixListener::bind(&path).unwrap();
        let timeout = if takes_timeout { &[timeout][..] } else { &[] };
        let running = Running::of(&mut command([&[name, &*path], arguments, timeout].concat()));
        let stream = accept(&listener);
        let serving = std::thread::spawn(move || serve(stream));
        if name == "listen" && goes_on {
            running.error_with(&format!("socket-ipc: connected to {path}"));
            running.signal(Signal::INT);
        }
        let mut end = running.end();
        end.errors = end.errors.replace(&path, "PATH");
        check(name, end);
        serving.join().unwrap();
    }
}

/// The last line of standard error.
fn said(end: &End) -> &str {
    let last = end.errors.lines().last().unwrap_or_else(|| panic!("nothing was said: {end:?}"));
    last.strip_prefix("socket-ipc: ").unwrap()
}

/// Waits until the peer has gone.
fn read_on(mut stream: UnixStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn server_of_another_wire_is_named_by_each_command() {
    fn speaks(bytes: &'static [u8]) -> impl Fn(UnixStream) + Send + Sync + Copy + 'static {
        move |mut stream| {
            stream.write_all(bytes).unwrap();
            read_on(stream);
        }
    }
    for (bytes, expected) in [
        (&b"who is there?\x1b\n"[..], "its first message is no envelope: `who is there?\\u001b`"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP"),
        (b"{\"topic\":\"hello\",\"message\":1}\0\0", "it speaks another wire: say --wire node-0.4"),
    ] {
        each(LONG, false, speaks(bytes), |name, end| {
            assert_eq!((end.status, &*end.output), (Some(1), ""), "{name}: {end:?}");
            assert_eq!(said(&end), format!("the server at PATH: {expected}"), "{name}");
            let lines = if name == "listen" { 2 } else { 1 };
            assert!(end.errors.lines().count() <= lines, "{name}: {end:?}");
        });
    }
}

#[test]
fn server_that_says_nothing_is_named_by_each_command() {
    each(SHORT, true, read_on, |name, end| {
        let (status, expected) = match name {
            // It goes on, and has said already that it is connected.
            "listen" => return assert_eq!((end.status, &*end.errors), (Some(0), "")),
            "send" => (5, "no message of `t` came within 300ms"),
            "request" => (5, "no reply to `t` within 300ms"),
            "status" => (
                0,
                "the server does not describe itself: no reply to `socket-ipc.describe` came within 300ms",
            ),
            _ => (
                5,
                "the server does not describe itself: no reply to `socket-ipc.describe` came within 300ms",
            ),
        };
        assert_eq!((end.status, said(&end)), (Some(status), expected), "{name}");
        assert_eq!(end.output.contains("\"alive\":true"), name == "status");
    });
}

#[test]
fn server_that_goes_in_the_middle_is_lost_for_each_command() {
    let serve = |mut stream: UnixStream| {
        stream.write_all(b"{\"topic\":\"hello\",\"message\":1}\n{\"topic\":\"t\",\"mess").unwrap();
        // Until the request comes; `listen` sends none, and is told to end.
        let _ = stream.read(&mut [0; 4096]);
    };
    each(LONG, true, serve, |name, end| {
        let status = if name == "listen" { 0 } else { 3 };
        assert_eq!(end.status, Some(status), "{name}: {end:?}");
        if name != "listen" {
            assert!(said(&end).contains("the peer closed the connection"), "{name}: {end:?}");
        }
    });
}

#[test]
fn server_that_sends_without_end_takes_no_memory() {
    let serve = |mut stream: UnixStream| {
        let _ = stream.write_all(b"{\"topic\":\"t\",\"message\":\"");
        let part = vec![b'x'; 1 << 20];
        // A gigabyte, unless the peer goes before.
        for _ in 0..1024 {
            if stream.write_all(&part).is_err() {
                return;
            }
        }
    };
    each(SHORT, true, serve, |name, end| {
        let status = match name {
            "listen" | "status" => 0,
            _ => 5,
        };
        assert_eq!(end.status, Some(status), "{name}: {end:?}");
    });
    let place = Place::new();
    let path = place.socket();
    let listener = UnixListener::bind(&path).unwrap();
    let listening = Running::start(["listen", &path]);
    let mut stream = accept(&listener);
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"{\"topic\":\"t\",\"message\":\"").unwrap();
    for _ in 0..256 {
        stream.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    stream.write_all(b"\"}\n{\"topic\":\"t\",\"message\":5}\n").unwrap();
    assert_eq!(listening.json()["message"], 5);
    let said = listening.error_with("socket-ipc: the server sent");
    assert!(said.contains("a message of 268435482 bytes: over the limit of 4194304 bytes"), "{said}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", listening.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn server_of_another_wire_that_goes_is_still_named() {
    let place = Place::new();
    let path = place.socket();
    let listener = UnixListener::bind(&path).unwrap();
    let serving = std::thread::spawn(move || {
        let mut stream = accept(&listener);
        stream.read_exact(&mut [0; 8]).unwrap();
        stream.write_all(b"-ERR unknown command\r\n").unwrap();
    });
    let end = run_with(["request", &path, "t", "1"], b"");
    assert_eq!(end.failed(1), format!("the server at {path}: it speaks the protocol of Redis"));
    serving.join().unwrap();
}
