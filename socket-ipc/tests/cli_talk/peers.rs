//! Servers that are none: each subcommand names what is wrong, with the exit status of its help.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::Signal;

use super::command::{DEADLINE, End, Place, Running, accept, command, run, run_with};

/// Each subcommand that has a server, its arguments, and whether it takes a time-out.
const COMMANDS: [(&str, &[&str], bool); 10] = [
    ("listen", &["PATH"], false),
    ("record", &["PATH", "NEW"], false),
    ("replay", &["RECORDING", "PATH"], false),
    ("send", &["PATH", "t", "1", "--wait", "t"], true),
    ("request", &["PATH", "t", "1"], true),
    ("topics", &["PATH"], true),
    ("types", &["PATH", "--lang", "typescript"], true),
    ("status", &["PATH", "--interval", "0.01"], true),
    ("top", &["PATH", "--interval", "0.01", "--count", "1"], false),
    ("bench", &["PATH"], true),
];

/// A time-out that ends no command: an error comes earlier.
const LONG: &str = "--timeout=60";

/// One that does.
const SHORT: &str = "--timeout=0.3";

/// Whether a subcommand goes on until it is told to end.
fn listens(name: &str) -> bool {
    ["listen", "record"].contains(&name)
}

/// Runs each subcommand against a server that does this with its one connection. `check` gets how it ended; one that
/// listens is told to end where it goes on.
fn each(
    timeout: &str,
    goes_on: bool,
    serve: impl Fn(UnixStream) + Send + Sync + Copy + 'static,
    check: impl Fn(&str, End),
) {
    for (name, arguments, takes_timeout) in COMMANDS {
        let place = Place::new();
        let path = place.socket();
        let file = |name| place.file(name).to_str().unwrap().to_owned();
        let (new, recording) = (file("new.jsonl"), file("recording.jsonl"));
        // With a time-out that ends no command, playing it ends none either.
        let last = if timeout == LONG { "23:00:00" } else { "12:00:00" };
        let line = |time| format!("{{\"time\":\"2026-01-31T{time}Z\",\"topic\":\"t\",\"message\":1}}\n");
        std::fs::write(&recording, line("12:00:00") + &line(last)).unwrap();
        let mut given = vec![name];
        given.extend(arguments.iter().map(|argument| match *argument {
            "PATH" => &*path,
            "NEW" => &*new,
            "RECORDING" => &*recording,
            argument => argument,
        }));
        given.extend(takes_timeout.then_some(timeout));
        let listener = UnixListener::bind(&path).unwrap();
        let running = Running::of(&mut command(given));
        let stream = accept(&listener);
        let serving = std::thread::spawn(move || serve(stream));
        if listens(name) && goes_on {
            running.error_with(&format!("socket-ipc: connected to {path}"));
            running.signal(Signal::INT);
        }
        let mut end = running.end();
        end.errors = end.errors.replace(&path, "PATH").replace(&new, "NEW");
        check(name, end);
        serving.join().unwrap();
        // A file without a message would be in the way of the next attempt.
        assert_eq!(std::fs::exists(&new).unwrap(), name == "record" && goes_on);
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
        (b" \n\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP"),
        (b"{\"topic\":\"hello\",\"message\":1}\0\0", "it speaks another wire: say --wire node-0.4"),
    ] {
        each(LONG, false, speaks(bytes), |name, end| {
            assert_eq!((end.status, &*end.output), (Some(1), ""), "{name}: {end:?}");
            assert_eq!(said(&end), format!("the server at PATH: {expected}"), "{name}");
            let lines = if listens(name) { 2 } else { 1 };
            assert!(end.errors.lines().count() <= lines, "{name}: {end:?}");
        });
    }
}

#[test]
fn other_wire_that_is_not_read_is_no_error() {
    let place = Place::new();
    let (path, recording) = (place.socket(), place.file("recording.jsonl"));
    let recording = recording.to_str().unwrap();
    std::fs::write(recording, "{\"time\":\"2026-01-31T12:00:00Z\",\"topic\":\"t\",\"message\":1}\n").unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let speaks = |is_late: bool| {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut stream = accept(&listener);
            if is_late {
                let _ = stream.read(&mut [0; 4096]);
                read_on(stream.try_clone().unwrap());
            }
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            read_on(stream);
        })
    };
    for is_late in [false, true] {
        let serving = speaks(is_late);
        let end = run(["send", &path, "t", "1"]);
        assert_eq!((end.status, &*end.output), (Some(0), ""), "{end:?}");
        // Whether the bytes are read before the command has ended is up to the scheduler.
        let read = "socket-ipc: the server sent a message of 25 bytes: not an envelope: expected value at line 1 column 1";
        assert!(end.errors.lines().all(|line| line == read), "{end:?}");
        serving.join().unwrap();
    }
    let serving = speaks(true);
    assert_eq!(run(["replay", recording, &path]).well(), "");
    serving.join().unwrap();
}

#[test]
fn server_that_says_nothing_is_named_by_each_command() {
    each(SHORT, true, read_on, |name, end| {
        let (status, expected) = match name {
            // They say nothing, or have said already that they are connected.
            "listen" | "top" | "replay" => return assert_eq!((end.status, &*end.errors), (Some(0), "")),
            "record" => (0, "recorded 0 messages in NEW"),
            "bench" => {
                assert!(said(&end).starts_with("no message of `bench` came back within 300ms: "));
                return assert_eq!(end.status, Some(5));
            }
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
        // Until the request comes; a listener sends none, and is told to end.
        let _ = stream.read(&mut [0; 4096]);
    };
    each(LONG, true, serve, |name, end| {
        // `top` waits for the server to come back, until it has looked often enough.
        let goes_on = listens(name) || name == "top";
        assert_eq!(end.status, Some(if goes_on { 0 } else { 3 }), "{name}: {end:?}");
        if !goes_on {
            assert!(said(&end).contains("the peer closed the connection"), "{name}: {end:?}");
        }
    });
}

/// How a message begins that has no end: in the middle of a text, or with white space before it.
const BEGINNINGS: [(&[u8], u8, &[u8]); 2] =
    [(b"{\"topic\":\"t\",\"message\":\"", b'x', b"\"}"), (b"", b' ', b"")];

#[test]
fn server_that_sends_without_end_takes_no_memory() {
    for without_end in [
        |stream: UnixStream| send_without_end(stream, BEGINNINGS[0]),
        |stream: UnixStream| send_without_end(stream, BEGINNINGS[1]),
    ] {
        each(SHORT, true, without_end, |name, end| {
            let status = match name {
                "listen" | "record" | "replay" | "status" | "top" => 0,
                _ => 5,
            };
            assert_eq!(end.status, Some(status), "{name}: {end:?}");
        });
    }
    for (begin, filling, end) in BEGINNINGS {
        let place = Place::new();
        let path = place.socket();
        let listener = UnixListener::bind(&path).unwrap();
        let listening = Running::start(["listen", &path]);
        let mut stream = accept(&listener);
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(begin).unwrap();
        for _ in 0..256 {
            stream.write_all(&[filling; 1 << 20]).unwrap();
        }
        stream.write_all(end).unwrap();
        stream.write_all(b"\n{\"topic\":\"t\",\"message\":5}\n").unwrap();
        assert_eq!(listening.json()["message"], 5);
        let said = listening.error_with("socket-ipc: the server sent");
        let len = (256 << 20) + begin.len() + end.len();
        assert!(
            said.contains(&format!("a message of {len} bytes: over the limit of 4194304 bytes")),
            "{said}"
        );
        let status = std::fs::read_to_string(format!("/proc/{}/status", listening.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 64 * 1024, "{peak} KiB");
    }
}

fn send_without_end(mut stream: UnixStream, (begin, filling, _): (&[u8], u8, &[u8])) {
    let _ = stream.write_all(begin);
    let part = vec![filling; 1 << 20];
    // A gigabyte, unless the peer goes before.
    for _ in 0..1024 {
        if stream.write_all(&part).is_err() {
            return;
        }
    }
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
