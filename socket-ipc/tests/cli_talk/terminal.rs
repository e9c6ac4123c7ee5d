//! Output on a terminal: pretty JSON, and `status` of a server that has something to do, or goes.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::Instant;

use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;
use socket_ipc::description::STATS;
use socket_ipc::{ErrorReply, TopicTraffic};

use super::command::{DEADLINE, Place, Running, on_a_terminal, run};
use super::*;

#[test]
fn status_of_a_server_that_goes_meanwhile_is_no_connection() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::built(&path, |builder| builder.describe(), |_server| {});
    let status = Running::start(["status", &path, "--interval", "60"]);
    // Its first request for stats has its reply.
    let start = Instant::now();
    let asked = |topic: &TopicTraffic| topic.topic == STATS && topic.sent.messages > 0;
    while !ours.server.stats().topics.iter().any(asked) {
        assert!(start.elapsed() < DEADLINE, "no request for stats came");
        std::thread::yield_now();
    }
    drop(ours);
    let why = status.end().failed(3);
    assert!(why.starts_with("lost the server: "), "{why}");
}

/// The lines of pretty JSON, after the first.
const SPREAD: [&str; 6] = ["  \"text\": \"a\",", "  \"list\": [", "    1.50,", "    {}", "  ]", "}"];

/// Asserts that a line ends so and begins JSON that is spread over several ones. Skips the lines before it.
fn assert_spread(terminal: &Running, first: &str) {
    std::iter::repeat_with(|| terminal.line()).find(|line| line.ends_with(first)).unwrap();
    SPREAD.iter().for_each(|line| assert_eq!(terminal.line(), *line));
}

#[test]
fn pretty_is_for_terminals_alone() {
    let place = Place::new();
    let path = place.socket();
    let mut server = Running::serve(&path, ["--echo"]);
    let json = r#"{"text":"a","list":[1.50,{}]}"#;
    let echoed = ["send", &path, "echo", json, "--wait", "echo", "--pretty"];
    assert_eq!(run(echoed).well(), format!("{json}\n"), "in a pipe it is a line");
    let send = format!("send {path} echo '{json}' --wait echo");
    let Some(pretty) = on_a_terminal("NO_COLOR=1", &format!("{send} --pretty")) else { return };
    assert_spread(&pretty, "{");
    assert_eq!(on_a_terminal("NO_COLOR=1", &send).unwrap().line(), json);
    let on_a_terminal = |line: String| on_a_terminal("NO_COLOR=1", &line).unwrap();
    let listening = on_a_terminal(format!("listen {path} --pretty"));
    // It is the fourth, after the three that sent.
    server.error_with("socket-ipc: client 4 connected");
    server.tell(&format!("news {json}"));
    assert_spread(&listening, " news {");
    let served = place.file("served.sock").to_str().unwrap().to_owned();
    let serving = on_a_terminal(format!("serve {served} --pretty"));
    assert_eq!(serving.line(), format!("socket-ipc: listening on {served}"));
    run(["send", &served, "note", json]).well();
    assert_spread(&serving, " client 1 note {");
    let ours = place.file("ours.sock").to_str().unwrap().to_owned();
    let _ours = Ours::listen(&ours, |server| {
        server.respond_raw("same", None, |message, _| Ok(message.into_owned())).unwrap();
        server
            .respond_stream_raw("one", |message, _| stream::iter([Ok::<_, ErrorReply>(message.into_owned())]))
            .unwrap();
    });
    for topic in ["same", "one"] {
        assert_spread(&on_a_terminal(format!("request {ours} {topic} '{json}' --pretty")), "{");
    }
}

#[test]
fn status_counts_others_and_what_is_in_flight() {
    let place = Place::new();
    let path = place.socket();
    let (began, begun) = channel();
    let ours = Ours::built(
        &path,
        |builder| builder.describe().describe_groups(),
        |server| {
            let rooms = server.handle();
            server
                .respond_stream_raw("follow", move |_, client_id| {
                    rooms.group("room\u{1b}").join(client_id).unwrap();
                    let began = began.clone();
                    stream::once(async { Ok::<_, ErrorReply>(7) })
                        .chain(stream::pending())
                        .inspect(move |_| began.send(()).unwrap())
                })
                .unwrap();
            server.on_topic("note", |_message, _client_id| {});
        },
    );
    let _following = Running::start(["request", &path, "follow", "null"]);
    begun.recv_timeout(DEADLINE).unwrap();
    run(["send", &path, "note", "1"]).well();
    let report: Value = serde_json::from_str(&run(["status", &path]).well()).unwrap();
    let stats = &report["stats"];
    // `request` connects twice: its first request shows that the topic is a stream.
    for (name, expected) in [
        ("open_connections", 1),
        ("total_connections", 3),
        ("streams_in_flight", 1),
        ("requests_in_flight", 0),
        ("groups", 1),
        ("slow_consumers", 0),
    ] {
        assert_eq!(stats[name], expected, "{name}: {report}");
    }
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("status {path}")) else { return };
    let lines: Vec<_> = std::iter::repeat_with(|| terminal.line()).take(8).collect();
    assert_eq!(lines[2], "clients: 1 now, 4 in all, 0 disconnected as slow consumers");
    assert!(lines[3].starts_with("messages: 3 received (0 a second), "), "{}", lines[3]);
    assert_eq!(lines[4], "in flight: 0 requests, 1 streams");
    assert_eq!(lines[5], "groups: 1, with 1 members");
    assert_eq!(lines[6], "  room\\u001b: 1 members");
    assert!(lines[7].starts_with("queued: "), "{}", lines[7]);
    drop(ours);
}

#[test]
fn status_counts_slow_consumers() {
    let place = Place::new();
    let path = place.socket();
    let ours = Ours::built(&path, |builder| builder.describe(), |_server| {});
    let _unread = UnixStream::connect(&path).unwrap();
    let (text, start) = ("x".repeat(1_000_000), Instant::now());
    // Its connection ends at the first broadcast that finds its send queue full.
    while ours.server.stats().slow_consumers == 0 {
        ours.server.broadcast_raw("long", &text).unwrap();
        assert!(start.elapsed() < DEADLINE, "it is not disconnected");
        std::thread::yield_now();
    }
    let report: Value = serde_json::from_str(&run(["status", &path]).well()).unwrap();
    assert_eq!(report["stats"]["slow_consumers"], 1, "{report}");
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("status {path}")) else { return };
    let clients =
        std::iter::repeat_with(|| terminal.line()).find(|line| line.starts_with("clients: ")).unwrap();
    assert_eq!(clients, "clients: 0 now, 2 in all, 1 disconnected as slow consumers");
}
