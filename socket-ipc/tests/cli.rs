//! The command `socket-ipc` as whole processes: `listen`, `send`, `request`, `serve`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod command;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use futures_util::stream::{self, StreamExt as _};
use rustix::process::Signal;
use serde_json::json;
use socket_ipc::{ErrorReply, Server};
use tokio::runtime::Runtime;

use command::{Place, Running, accept, command, run, run_with};

/// A server of this process, with its runtime.
struct Ours {
    runtime: Runtime,
    server: Server,
}

impl Ours {
    /// Listens once `attach` has given it its listeners.
    fn listen(path: &str, attach: impl FnOnce(&Server)) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = Server::new(path);
        attach(&server);
        runtime.block_on(server.listen()).unwrap();
        Self { runtime, server }
    }

    fn close(&self) {
        self.runtime.block_on(self.server.close());
    }
}

#[test]
fn serve_listen_and_send_share_a_socket() {
    let place = Place::new();
    let path = place.socket();
    let mut server = Running::serve(&path, []);
    let listener = Running::start(["listen", &path]);
    assert_eq!(listener.error(), format!("socket-ipc: connected to {path}"));
    let listening = format!("client 1 connected: process {}", listener.child.id());
    assert!(server.error().contains(&listening));
    assert_eq!(run(["send", &path, "hello", r#"{"name":"shell"}"#]).well(), "");
    assert_eq!(server.json(), json!({"client": 2, "topic": "hello", "message": {"name": "shell"}}));
    assert!(server.error().contains("client 2 connected: process "));
    assert_eq!(server.error(), "socket-ipc: client 2 is gone: the peer closed the connection");
    server.tell(r#"news {"text": "from the server"}"#);
    server.tell(r#"{"message": [1, 2], "topic": "an envelope", "time": "of others"}"#);
    server.tell("");
    server.tell("alone");
    assert_eq!(listener.json(), json!({"topic": "news", "message": {"text": "from the server"}}));
    assert_eq!(listener.json(), json!({"topic": "an envelope", "message": [1, 2]}));
    assert_eq!(listener.json(), json!({"topic": "alone", "message": null}));
    assert_eq!(run(["send", &path, "bye"]).well(), "");
    assert_eq!(server.json(), json!({"client": 3, "topic": "bye", "message": null}));
    server.signal(Signal::TERM);
    assert_eq!(server.end().status, Some(0));
    assert!(!Path::new(&path).exists());
    assert!(listener.error().contains("lost the server: the peer closed the connection; trying again"));
    assert!(listener.error().contains("does not exist; trying again"));
    let _server = Running::serve(&path, []);
    assert_eq!(listener.error(), format!("socket-ipc: connected to {path} again"));
    listener.signal(Signal::INT);
    assert_eq!(listener.end().status, Some(0));
}

#[test]
fn listen_with_topics_prints_only_them_once_each() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::listen(&path, |_| {});
    let (connected, connections) = std::sync::mpsc::channel();
    ours.server.on_connection(move |client_id| connected.send(client_id).unwrap());
    let listener = Running::start(["listen", &path, "b", "two words", "b"]);
    connections.recv_timeout(command::DEADLINE).unwrap();
    for topic in ["a", "b", "two words"] {
        ours.server.broadcast_raw(topic, &topic).unwrap();
    }
    assert_eq!(listener.json(), json!({"topic": "b", "message": "b"}));
    assert_eq!(listener.json(), json!({"topic": "two words", "message": "two words"}));
    ours.close();
}

#[test]
fn listen_reader_gone_exits_with_success() {
    let place = Place::new();
    let path = place.socket();
    let _server = Running::serve(&path, ["--echo"]);
    // No message comes, so no print fails.
    let mut quiet = command(["listen", &path]);
    let mut quiet = quiet.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(quiet.stdout.take());
    assert_eq!(quiet.wait().unwrap().code(), Some(0));
    let output = std::process::Command::new("sh")
        .args(["-c", r#""$0" listen "$1" 2>&1 | head -1"#, env!("CARGO_BIN_EXE_socket-ipc"), &path])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("socket-ipc: connected to {path}\n"));
}

#[test]
fn listen_stuck_in_output_ends_on_a_signal() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::listen(&path, |_| {});
    let (connected, connections) = std::sync::mpsc::channel();
    ours.server.on_connection(move |client_id| connected.send(client_id).unwrap());
    let mut listener = command(["listen", &path]);
    let mut listener = listener.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let client_id = connections.recv_timeout(command::DEADLINE).unwrap();
    // Much more than a pipe holds, so `listen` blocks while it prints.
    ours.server.send_raw("long", &"x".repeat(1 << 20), client_id).unwrap();
    listener.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&listener), Signal::TERM).unwrap();
    assert_eq!(listener.wait().unwrap().code(), Some(0));
}

#[test]
fn send_output_to_full_disk_returns_error() {
    let place = Place::new();
    let path = place.socket();
    let _server = Running::serve(&path, ["--echo"]);
    let mut sender = command(["send", &path, "hello", "--wait", "hello"]);
    sender.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = sender.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("cannot write to standard output: No space left")
    );
}

#[test]
fn send_json_arrives_as_given() {
    let place = Place::new();
    let path = place.socket();
    let listener = UnixListener::bind(&path).unwrap();
    let exact = r#"{"big": 12345678901234567890.12345678901234567890, "b": 1, "a": 1E400, "b": -0}"#;
    for (given, written) in [(exact, exact), (" [1,\n2] ", "[1, 2]"), ("-5", "-5"), ("null", "null")] {
        let sender = Running::start(["send", &path, "hello", given]);
        let mut received = String::new();
        accept(&listener).read_to_string(&mut received).unwrap();
        assert_eq!(received, format!("{{\"topic\":\"hello\",\"message\":{written}}}\n"));
        sender.end().well();
    }
}

#[test]
fn send_standard_input_sends_each_line_and_names_a_wrong_one() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, []);
    // Much more than the outbox of the client holds.
    let text = "x".repeat(10_000);
    let input: String = (0..2000).map(|number| format!("[{number},\"{text}\"]\n\n")).collect();
    assert_eq!(run_with(["send", &path, "rows", "-"], input.as_bytes()).well(), "");
    for number in 0..2000 {
        assert_eq!(server.json()["message"][0], number);
    }
    // The lines before the mistake are sent.
    let end = run_with(["send", &path, "rows", "-"], b"1\n\n2\n{\"a\":}\n4\n");
    assert_eq!(end.failed(1), "line 4 of standard input: expected JSON: expected value at line 1 column 6");
    assert_eq!(server.json()["message"], 1);
    assert_eq!(server.json()["message"], 2);
    // Without a newline, and then longer than any message.
    assert_eq!(run_with(["send", &path, "rows", "-"], b"5").well(), "");
    assert_eq!(server.json()["message"], 5);
    let endless = vec![b'1'; 5 << 20];
    let end = run_with(["send", &path, "rows", "-"], &endless);
    assert_eq!(end.failed(1), "line 1 of standard input is over the limit of 4194304 bytes for a message");
}

#[test]
fn send_over_limits_prints_error_of_the_library() {
    let place = Place::new();
    let path = place.socket();
    let _server = Running::serve(&path, []);
    let error = run(["send", &path, &"t".repeat(300), "1"]).failed(1);
    assert!(error.ends_with(
        "takes 300 bytes, over the limit of 256: shorten it, or raise `max_topic_len` at both ends"
    ));
    let line = format!("\"{}\"\n", "x".repeat(4 * 1024 * 1024 - 2));
    let error = run_with(["send", &path, "t", "-"], line.as_bytes()).failed(1);
    assert!(error.contains("over the limit of 4194304: send less"), "{error}");
}

#[test]
fn send_wait_prints_message_or_says_that_none_came() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::listen(&path, |server| {
        let reply = server.handle();
        server.on_topic("hello", move |message, client_id| {
            reply.send_raw("noise", &1, client_id).unwrap();
            reply.send_raw("greeting", &message, client_id).unwrap();
            reply.send_raw("greeting", &"a second", client_id).unwrap();
        });
        let leaves = server.handle();
        server.on_topic("leave", move |_message, client_id| assert!(leaves.disconnect(client_id)));
    });
    let greeted = run(["send", &path, "hello", "[1.0,\n 2]", "--wait", "greeting"]);
    assert_eq!(greeted.well(), "[1.0,  2]\n");
    let nothing = run(["send", &path, "silence", "--wait", "greeting", "--timeout", "0.1"]);
    assert_eq!(nothing.failed(5), "no message of `greeting` came within 100ms");
    let left = run(["send", &path, "leave", "--wait", "greeting"]);
    assert_eq!(left.failed(3), "lost the server: the peer closed the connection");
    ours.close();
}

#[test]
fn send_server_gone_while_reading_input_fails() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, []);
    let mut sender = Running::start(["send", &path, "row", "-"]);
    sender.tell("1");
    assert_eq!(server.json(), json!({"client": 1, "topic": "row", "message": 1}));
    server.signal(Signal::TERM);
    assert_eq!(server.end().status, Some(0));
    // The input of the sender is still open.
    let error = sender.error();
    assert_eq!(error, "socket-ipc: lost the server: the peer closed the connection");
    assert_eq!(sender.end().status, Some(3));
}

#[test]
fn request_reply_error_timeout_or_loss_is_printed() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::listen(&path, |server| {
        server.respond_raw("echo", Some("echo reply"), |message, _| Ok(message.into_owned())).unwrap();
        let refuse = |_: socket_ipc::RawMessage<'_>, _| {
            Err::<(), _>(ErrorReply::new("closed", "come back\n tomorrow\u{1b}[2J"))
        };
        server.respond_raw("refuse", Some("refuse reply"), refuse).unwrap();
        let text = format!("begin {} end", "x".repeat(3 << 20));
        let long =
            move |_: socket_ipc::RawMessage<'_>, _| Err::<(), _>(ErrorReply::new("long", text.clone()));
        server.respond_raw("long", Some("long reply"), long).unwrap();
        server
            .respond_raw("panic", Some("panic reply"), |_, _| -> Result<(), ErrorReply> {
                panic!("on purpose")
            })
            .unwrap();
        let leaves = server.handle();
        server.on_topic("leave", move |_message, client_id| assert!(leaves.disconnect(client_id)));
    });
    assert_eq!(run(["request", &path, "echo", r#"{"n": 1.50}"#]).well(), "{\"n\": 1.50}\n");
    assert_eq!(run(["request", &path, "echo"]).well(), "null\n");
    assert_eq!(run_with(["request", &path, "echo", "-"], b"[1,\n2]\n").well(), "[1, 2]\n");
    assert_eq!(
        run_with(["request", &path, "echo", "-"], b"[1,\n").failed(1),
        "standard input: expected JSON: EOF while parsing a value at line 2 column 0"
    );
    // The text of a server is printed as one line, without control characters.
    assert_eq!(
        run(["request", &path, "refuse"]).failed(4),
        "`refuse` was rejected (closed): come back tomorrow\\u001b[2J"
    );
    // A text of megabytes is shortened in the middle.
    let long = run(["request", &path, "long"]).failed(4);
    assert!(long.starts_with("`long` was rejected (long): begin xx") && long.ends_with("xx end"), "{long}");
    assert!(long.contains(" bytes more ") && long.len() < 4096, "{}", long.len());
    assert_eq!(run(["request", &path, "panic"]).failed(4), "the responder of `panic` panicked");
    assert_eq!(run(["request", &path, "missing"]).failed(4), "the peer has no responder for `missing`");
    ours.close();

    let listener = UnixListener::bind(&path).unwrap();
    // A server that knows no requests, such as one of the Node library.
    let requesting = Running::start(["request", &path, "slow", "null", "--timeout", "0.1"]);
    let silent = accept(&listener);
    assert_eq!(requesting.end().failed(5), "no reply to `slow` within 100ms");
    drop(silent);
    let requesting = Running::start(["request", &path, "lost", "null"]);
    drop(accept(&listener));
    let error = requesting.end().failed(3);
    assert!(error.starts_with("no reply to `lost`: the "), "{error}");
}

#[test]
fn request_of_a_stream_prints_each_item_as_it_comes() {
    let place = Place::new();
    let path = place.socket();
    let (dropped, ended) = std::sync::mpsc::channel();
    let ours = Ours::listen(&path, |server| {
        server
            .respond_stream_raw("count", |to, _| {
                let to = to.decode::<u64>();
                stream::iter(match to {
                    Ok(to) => (0..to).map(Ok).collect(),
                    Err(error) => vec![Ok(0), Err(ErrorReply::from(error))],
                })
            })
            .unwrap();
        server
            .respond_stream_raw("follow", move |_, _| {
                let dropped = DropReporter(dropped.clone());
                stream::iter([Ok(7)]).chain(stream::pending()).inspect(move |_| _ = &dropped)
            })
            .unwrap();
    });
    assert_eq!(run(["request", &path, "count", "3"]).well(), "0\n1\n2\n");
    assert_eq!(run(["request", &path, "count", "0"]).well(), "");
    let failed = run(["request", &path, "count", "true"]);
    assert_eq!((failed.status, &*failed.output), (Some(4), "0\n"));
    assert!(failed.errors.starts_with("socket-ipc: `count` was rejected (failed): "), "{}", failed.errors);
    // It prints what there is, and goes on until it is told to end.
    let following = Running::start(["request", &path, "follow", "null", "--timeout", "5"]);
    assert_eq!(following.line(), "7");
    following.signal(Signal::INT);
    assert_eq!(following.end().well(), "");
    ended.recv_timeout(command::DEADLINE).unwrap();
    // The end of the program that reads it is enough, though nothing more is printed.
    let mut following = command(["request", &path, "follow", "null"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = following.stdout.take().unwrap();
    output.read_exact(&mut [0; 2]).unwrap();
    drop(output);
    assert_eq!(following.wait().unwrap().code(), Some(0));
    ended.recv_timeout(command::DEADLINE).unwrap();
    let following = Running::start(["request", &path, "follow", "null"]);
    assert_eq!(following.line(), "7");
    ours.close();
    let end = following.end();
    assert_eq!(end.status, Some(3), "{}", end.errors);
    assert!(end.errors.contains("the connection is being closed"), "{}", end.errors);
}

/// Reports when it is dropped.
struct DropReporter(std::sync::mpsc::Sender<()>);

impl Drop for DropReporter {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn send_retry_waits_for_the_server() {
    let place = Place::new();
    let path = place.socket();
    let waiting = Running::start(["send", &path, "hello", "null", "--retry"]);
    assert_eq!(waiting.error(), format!("socket-ipc: no server: {path} does not exist; trying again"));
    let server = Running::serve(&path, []);
    assert_eq!(server.json(), json!({"client": 1, "topic": "hello", "message": null}));
    assert_eq!(waiting.end().status, Some(0));
}

#[test]
fn serve_echo_reports_mistakes_of_input_and_clients() {
    let place = Place::new();
    let path = place.socket();
    let mut server = Running::serve(&path, ["--echo"]);
    assert_eq!(run(["send", &path, "ping", "[1.0]", "--wait", "ping"]).well(), "[1.0]\n");
    server.error_with("socket-ipc: client 1 is gone");
    server.tell("early 1");
    server.tell("too early 2");
    server.tell("early 3");
    server.tell(r#"{"topic":5}"#);
    assert_eq!(server.error(), "socket-ipc: no client is connected to receive line 1 of standard input");
    let neither = "of standard input is neither `TOPIC JSON` nor an envelope";
    assert!(server.error().starts_with(&format!("socket-ipc: line 2 {neither}: expected ")));
    assert!(server.error().starts_with(&format!("socket-ipc: line 4 {neither}: invalid type")));
    let mut raw = std::os::unix::net::UnixStream::connect(&path).unwrap();
    server.error_with("socket-ipc: client 2 connected");
    raw.write_all(b"no envelope\n").unwrap();
    assert!(server.error().starts_with("socket-ipc: client 2 sent a message of 11 bytes: not an envelope"));
    // The server goes on after the end of its input.
    server.input = None;
    assert_eq!(run(["send", &path, "ping", "2", "--wait", "ping"]).well(), "2\n");
    let second = run(["serve", &path]).failed(1);
    assert!(second.starts_with(&format!("cannot listen on {path}: ")), "{second}");
}

#[test]
fn listen_piped_into_serve_relays_messages() {
    let place = Place::new();
    let (one, other) = (place.socket(), place.file("other.sock").to_str().unwrap().to_owned());
    let mut first = Running::serve(&one, []);
    let mut relay = std::process::Command::new("sh");
    relay.args([
        "-c",
        r#""$0" listen "$1" | "$0" serve "$2""#,
        env!("CARGO_BIN_EXE_socket-ipc"),
        &one,
        &other,
    ]);
    let relay = Running::of(&mut relay);
    relay.error_with(&format!("socket-ipc: listening on {other}"));
    first.error_with("socket-ipc: client 1 connected");
    let listener = Running::start(["listen", &other]);
    relay.error_with("socket-ipc: client 1 connected");
    first.tell(r#"news {"exact": 1.0}"#);
    assert!(listener.line().ends_with(r#""topic":"news","message":{"exact": 1.0}}"#));
    // The shell passes no signal on. The end of the first process ends the others.
    listener.signal(Signal::TERM);
    assert_eq!(listener.end().status, Some(0));
}

#[test]
fn wire_option_sends_and_receives_its_bytes() {
    for (wire, key, end) in [
        ("json", "message", "\n"),
        ("node-0.4", "message", "\0\0"),
        ("node-0.2", "message", "%EOM%"),
        ("node-0.1", "data", "%<EOM>%\n"),
    ] {
        let place = Place::new();
        let path = place.socket();
        let listener = UnixListener::bind(&path).unwrap();
        let sender = Running::start(["send", &path, "hello", "1", "--wait", "back", "--wire", wire]);
        let mut stream = accept(&listener);
        let expected = format!("{{\"topic\":\"hello\",\"{key}\":1}}{end}");
        let mut received = vec![0; expected.len()];
        stream.read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), expected);
        // A peer may put newlines between tokens, unless a newline is the delimiter.
        let space = if wire == "json" { " " } else { "\n" };
        write!(stream, "{{\"topic\":\"back\",\"{key}\":[{space}2]}}{end}").unwrap();
        drop(stream);
        assert_eq!(sender.end().well(), "[ 2]\n");

        std::fs::remove_file(&path).unwrap();
        let server = Running::serve(&path, ["--wire", wire]);
        run(["send", &path, "hello", "1", "--wire", wire]).well();
        assert_eq!(server.json(), json!({"client": 1, "topic": "hello", "message": 1}));
        let requesting = run(["request", &path, "hello", "1", "--wire", wire]);
        assert_eq!(requesting.failed(4), "the peer has no responder for `hello`");
        assert!(run(["status", &path, "--wire", wire]).status == Some(0));
        let listening = Running::start(["listen", &path, "--wire", wire]);
        assert_eq!(listening.error(), format!("socket-ipc: connected to {path}"));
    }
}
