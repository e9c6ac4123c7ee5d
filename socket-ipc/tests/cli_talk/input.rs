//! Standard input where no JSON is given.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::process::Stdio;

use serde_json::json;

use super::command::{Place, Running, command, run, run_with};

const HINT: &str =
    "no JSON is given, and standard input holds something: write `-` to send that, or `null` to send null";

#[test]
fn standard_input_without_json_is_never_ignored() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, []);
    for name in ["send", "request"] {
        assert_eq!(run_with([name, &path, "topic"], b"{\"n\":1}\n").failed(2), HINT);
    }
    std::fs::write(place.file("input"), "1\n").unwrap();
    let mut file = File::open(place.file("input")).unwrap();
    let with = |input: Stdio| command(["send", &path, "topic"]).stdin(input).output().unwrap();
    let output = with(file.try_clone().unwrap().into());
    assert_eq!(output.status.code(), Some(2));
    let (socket, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    std::io::Write::write_all(&mut &peer, b"1\n").unwrap();
    assert_eq!(with(std::os::fd::OwnedFd::from(socket).into()).status.code(), Some(2));
    // Nothing was sent, and there is nothing in these.
    file.seek(SeekFrom::End(0)).unwrap();
    let (socket, peer) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(peer);
    for (number, input) in
        [file.into(), Stdio::null(), std::os::fd::OwnedFd::from(socket).into()].into_iter().enumerate()
    {
        assert!(with(input).status.success());
        assert_eq!(server.json(), json!({"client": number + 1, "topic": "topic", "message": null}));
    }
    assert_eq!(run(["send", &path, "topic"]).well(), "", "a pipe that ends");
    assert_eq!(server.json()["client"], 4);
    assert_eq!(run_with(["send", &path, "topic", "5"], b"1\n").well(), "", "the JSON is given");
    assert_eq!(server.json()["message"], 5);
}

#[test]
fn standard_input_open_and_empty_is_a_mistake() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, []);
    for name in ["send", "request"] {
        let running = Running::start([name, &path, "topic"]);
        assert_eq!(
            running.error(),
            "socket-ipc: no JSON is given, and standard input is open, with nothing in it yet: write `-` to send what \
             comes, or `null` to send null"
        );
        assert_eq!(running.end().status, Some(2));
    }
    // Nothing was sent.
    let sending = Running::start(["send", &path, "topic", "null"]);
    assert_eq!(server.json(), json!({"client": 1, "topic": "topic", "message": null}));
    assert_eq!(sending.end().status, Some(0));
}
