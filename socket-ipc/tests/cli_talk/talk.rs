//! Streams of `request`, errors with their data, and what `listen` sends.

use std::sync::mpsc::channel;

use futures_util::stream::{self, StreamExt as _};
use socket_ipc::{ErrorReply, RawMessage};

use super::command::{DEADLINE, Place, Running, run};
use super::*;

#[test]
fn request_count_cancels_the_stream_after_so_many_items() {
    let place = Place::new();
    let path = place.socket();
    let (dropped, ended) = channel();
    let _ours = Ours::listen(&path, |server| {
        server
            .respond_stream_raw("count", move |_, _| {
                let dropped = DropReporter(dropped.clone());
                stream::iter((0..5).map(Ok)).chain(stream::pending()).inspect(move |_| _ = &dropped)
            })
            .unwrap();
        server.respond_raw("echo", None, |message, _| Ok(message.into_owned())).unwrap();
    });
    assert_eq!(run(["request", &path, "count", "--count", "3"]).well(), "0\n1\n2\n");
    ended.recv_timeout(DEADLINE).unwrap();
    // As many as there are, without waiting for more.
    assert_eq!(run(["request", &path, "count", "--count", "5"]).well(), "0\n1\n2\n3\n4\n");
    ended.recv_timeout(DEADLINE).unwrap();
    assert_eq!(run(["request", &path, "echo", "7", "--count", "1"]).well(), "7\n");
}

fn full(_: RawMessage<'_>, _: socket_ipc::ClientId) -> Result<(), ErrorReply> {
    let data = r#"{"QueueFull":{"max":3.0,"exact":"\u001b"}}"#;
    Err(ErrorReply::new("full", "the queue holds 3 jobs").with_data(serde_json::from_str(data).unwrap()))
}

#[test]
fn error_reply_is_printed_with_its_data_at_once() {
    let place = Place::new();
    let path = place.socket();
    let _ours = Ours::listen(&path, |server| {
        server.respond_raw("submit", Some("submitted"), full).unwrap();
        server
            .respond_stream_raw("follow", |_, _| {
                let error =
                    ErrorReply::new("full", "no more").with_data(serde_json::from_str("[7]").unwrap());
                stream::iter([Ok(1), Err(error)])
            })
            .unwrap();
        let replies = server.handle();
        server.on_topic("note", move |_message, client_id| {
            // A program's own message under the topic is no error reply.
            replies.send_raw("error", &"a text", client_id).unwrap();
            replies.send_raw("noted", &1, client_id).unwrap();
        });
    });
    let text = run(["request", &path, "submit", "1", "--timeout", "60"]).failed(4);
    let data = r#"its data: {"QueueFull":{"max":3.0,"exact":"\u001b"}}"#;
    assert_eq!(text, format!("`submit` failed: the queue holds 3 jobs; {data}"));
    let text = run(["send", &path, "submit", "1", "--wait", "submitted", "--timeout", "60"]).failed(4);
    assert_eq!(text, format!("`submit` was rejected (full): the queue holds 3 jobs; {data}"));
    let followed = run(["request", &path, "follow"]);
    assert_eq!((followed.status, &*followed.output), (Some(4), "1\n"));
    assert_eq!(followed.errors, "socket-ipc: `follow` failed: no more; its data: [7]\n");
    assert_eq!(run(["send", &path, "note", "1", "--wait", "noted"]).well(), "1\n");
    assert_eq!(run(["send", &path, "note", "1", "--wait", "error"]).well(), "\"a text\"\n");
}

#[test]
fn listen_send_is_sent_over_each_connection() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, []);
    let arguments =
        ["listen", &path, "--send", r#"enter {"room": 5}"#, "--send", r#"{"topic":"a b","message":[1.50]}"#];
    let listener = Running::start(arguments);
    let expect = |server: &Running| {
        assert!(server.line().ends_with(r#""client":1,"topic":"enter","message":{"room": 5}}"#));
        assert!(server.line().ends_with(r#""client":1,"topic":"a b","message":[1.50]}"#));
    };
    expect(&server);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().status, Some(0));
    expect(&Running::serve(&path, []));
    drop(listener);

    let _ours = Ours::listen(&place.file("ours.sock").to_string_lossy(), |server| {
        server.respond_raw("submit", Some("submitted"), full).unwrap();
    });
    let ours = place.file("ours.sock").to_string_lossy().into_owned();
    // Where the topics leave it out, an error reply is said.
    let chosen = Running::start(["listen", &ours, "news", "--send", "submit 1"]);
    let text = chosen.error_with("socket-ipc: the server replied");
    assert!(
        text.starts_with("socket-ipc: the server replied with an error: the queue holds 3 jobs (full); "),
        "{text}"
    );
    let all = Running::start(["listen", &ours, "--send", "submit 1"]);
    assert_eq!(all.json()["topic"], "error");
    let long = format!("{} 1", "t".repeat(300));
    let end = run(["listen", &ours, "--send", &long]);
    assert_eq!(end.status, Some(1));
    assert!(end.errors.contains("takes 300 bytes, over the limit of 256"), "{}", end.errors);
}
