//! `record`, `replay`, `serve --replay`.

use std::fs::{File, read_to_string, write};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command::{DEADLINE, Place, Running, command, on_a_terminal, run};

/// A file that does not exist yet, as an argument.
fn recording(place: &Place) -> String {
    place.file("recording.jsonl").to_str().unwrap().to_owned()
}

/// The topics and messages of a recording.
fn messages(path: &str) -> Vec<Value> {
    let text = read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| json!([line["topic"], line["message"]])).collect()
}

/// A recording of the topic `tick`, numbered, its messages 20 ms apart.
fn ticks(path: &str, count: u32) {
    let mut file = File::create(path).unwrap();
    for number in 0..count {
        let (seconds, milliseconds) = (number / 50, number % 50 * 20);
        writeln!(
            file,
            r#"{{"time":"2026-01-31T12:00:{seconds:02}.{milliseconds:03}Z","client":7,"topic":"tick","message":{number}}}"#
        )
        .unwrap();
    }
}

/// Waits until a file has as many lines.
fn wait_for_lines(path: &str, count: usize) {
    let start = Instant::now();
    while read_to_string(path).unwrap_or_default().lines().count() < count {
        assert!(start.elapsed() < DEADLINE, "the lines do not come");
        std::thread::yield_now();
    }
}

#[test]
fn record_writes_what_listen_prints_and_goes_on_after_a_restart() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let recorder = Running::start(["record", &path, &file, "--append"]);
    assert!(recorder.error().ends_with("does not exist; trying again"));
    let mut server = Running::serve(&path, []);
    assert_eq!(recorder.error(), format!("socket-ipc: connected to {path}"));
    server.error_with("socket-ipc: client 1 connected");
    server.tell(r#"news {"text":  1.50}"#);
    server.tell("two");
    wait_for_lines(&file, 2);
    server.signal(Signal::TERM);
    assert_eq!(server.end().status, Some(0));
    recorder.error_with("socket-ipc: lost the server");
    let mut server = Running::serve(&path, []);
    recorder.error_with(&format!("socket-ipc: connected to {path} again"));
    server.error_with("socket-ipc: client 1 connected");
    server.tell("three");
    wait_for_lines(&file, 3);
    recorder.signal(Signal::INT);
    let end = recorder.end();
    assert_eq!((end.status, &*end.output), (Some(0), ""));
    assert_eq!(end.errors, format!("socket-ipc: recorded 3 messages in {file}\n"));
    let text = read_to_string(&file).unwrap();
    let first = text.lines().next().unwrap();
    assert_eq!(&first[34..], r#","topic":"news","message":{"text":  1.50}}"#, "{first}");
    assert_eq!(messages(&file)[1..], [json!(["two", null]), json!(["three", null])]);
}

#[test]
fn record_topics_of_a_new_file_only() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    write(&file, "").unwrap();
    let exists = run(["record", &path, &file]).failed(1);
    assert_eq!(
        exists,
        format!("{file} exists already; go on at its end with --append, or name another file")
    );
    std::fs::remove_file(&file).unwrap();
    let mut server = Running::serve(&path, []);
    let _recorder = Running::start(["record", &path, &file, "b", "b", "c"]);
    server.error_with("socket-ipc: client 1 connected");
    ["a 1", "b 2", "c 3", "b 4"].iter().for_each(|line| server.tell(line));
    wait_for_lines(&file, 3);
    assert_eq!(messages(&file), [json!(["b", 2]), json!(["c", 3]), json!(["b", 4])]);
}

#[test]
fn record_killed_loses_nothing_and_its_half_line_is_left_out() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let mut server = Running::serve(&path, ["--echo"]);
    let recorder = Running::start(["record", &path, &file]);
    server.error_with("socket-ipc: client 1 connected");
    (0..50).for_each(|number| server.tell(&format!("tick {number}")));
    wait_for_lines(&file, 50);
    recorder.signal(Signal::KILL);
    assert_eq!(recorder.end().status, None);
    // A kernel may end the process within a write.
    let whole = read_to_string(&file).unwrap();
    write(&file, format!("{whole}{}", &whole[..40])).unwrap();
    let note = format!("socket-ipc: line 51 of {file}, its last, is unfinished, and left out\n");
    let end = run(["replay", &file, &path, "--speed", "max"]);
    assert_eq!((end.status, end.errors), (Some(0), note));
    for number in 0..50 {
        assert_eq!(server.json(), json!({"client": 2, "topic": "tick", "message": number}));
    }
    let recorder = Running::start(["record", &path, &file, "--append"]);
    assert_eq!(
        recorder.error(),
        format!("socket-ipc: the last line of {file} was unfinished, and is removed")
    );
    server.error_with("socket-ipc: client 3 connected");
    server.tell("tick 50");
    wait_for_lines(&file, 51);
    assert_eq!(messages(&file), Vec::from_iter((0..51).map(|number| json!(["tick", number]))));
}

#[test]
fn record_appends_to_recordings_only() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let mut server = Running::serve(&path, []);
    let why = format!("{file} is no recording: its last line is no recorded message; name another file");
    let line = r#"{"time":"2026-01-31T12:00:00Z","topic":"t","message":1}"#;
    for content in ["notes", &format!("{line}\nnotes\n\n{{\"time\":1"), &"x".repeat(5 << 20)] {
        write(&file, content).unwrap();
        assert_eq!(run(["record", &path, &file, "--append"]).failed(1), why);
        assert!(read_to_string(&file).unwrap() == *content, "{} is as it was", content.len());
    }
    // Half a line, however short, and a whole one that lacks its newline.
    for (client, rest) in [(1, "{\"t".to_owned()), (2, line[..30].to_owned()), (3, "x".repeat(5 << 20))] {
        let (begin, rest) =
            if client == 3 { (format!("{rest}\n"), line) } else { (format!("{line}\n"), &*rest) };
        write(&file, begin + rest).unwrap();
        let recorder = Running::start(["record", &path, &file, "--append"]);
        server.error_with(&format!("socket-ipc: client {client} connected"));
        server.tell("more");
        wait_for_lines(&file, 2 + usize::from(client == 3));
        recorder.signal(Signal::INT);
        assert_eq!(recorder.end().status, Some(0));
        let text = read_to_string(&file).unwrap();
        assert!(text.lines().rev().nth(1) == Some(line) && text.ends_with("\"more\",\"message\":null}\n"));
    }
    let Some(shown) = on_a_terminal("", &format!("record {path} /dev/stdout --append")) else { return };
    let shown = shown.end().output;
    assert!(shown.starts_with("socket-ipc: /dev/stdout is a terminal: name a file, or see"), "{shown}");
}

#[test]
fn record_to_full_disk_fails_by_name_and_keeps_whole_lines() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let mut server = Running::serve(&path, []);
    let recorder = Running::start(["record", &path, "/dev/full", "--append"]);
    server.error_with("socket-ipc: client 1 connected");
    server.tell("tick 1");
    let why = recorder.end();
    assert_eq!(why.status, Some(1));
    assert!(why.errors.contains("cannot write to /dev/full: No space left"), "{}", why.errors);
    // A limit of the file's size ends a write in the middle of a line.
    let limited = r#"ulimit -f 1; trap '' XFSZ; exec "$0" record "$1" "$2""#;
    let mut shell = std::process::Command::new("sh");
    let recorder = Running::of(shell.args(["-c", limited, env!("CARGO_BIN_EXE_socket-ipc"), &path, &file]));
    server.error_with("socket-ipc: client 2 connected");
    (0..100).for_each(|number| server.tell(&format!("tick {number}")));
    let why = recorder.end();
    assert_eq!(why.status, Some(1));
    assert!(why.errors.contains("File too large"), "{}", why.errors);
    let messages = messages(&file);
    assert!(read_to_string(&file).unwrap().ends_with("}\n"));
    assert!(
        why.errors.ends_with(&format!("it has the {} messages before\n", messages.len())),
        "{}",
        why.errors
    );
    assert_eq!(messages[..3], [json!(["tick", 0]), json!(["tick", 1]), json!(["tick", 2])]);
}

#[test]
fn replay_keeps_pace_and_selects() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    ticks(&file, 30);
    let server = Running::serve(&path, []);
    let start = Instant::now();
    assert_eq!(run(["replay", &file, &path]).well(), "");
    // 29 steps of 20 ms.
    assert!(start.elapsed() >= Duration::from_millis(580), "{:?}", start.elapsed());
    (0..30).for_each(|number| assert_eq!(server.json()["message"], number));
    let start = Instant::now();
    assert_eq!(run(["replay", &file, &path, "--speed", "4", "--from", "0.3"]).well(), "");
    assert!(start.elapsed() >= Duration::from_millis(70), "{:?}", start.elapsed());
    (15..30).for_each(|number| assert_eq!(server.json()["message"], number));
    let after = ["replay", &file, &path, "--speed", "max", "--from", "2026-01-31T12:00:00.570Z"];
    assert_eq!(run(after).well(), "");
    assert_eq!(server.json()["message"], 29);
    assert_eq!(run(["replay", &file, &path, "--speed", "max", "--topic", "other"]).well(), "");
    run(["send", &path, "end", "1"]).well();
    assert_eq!(server.json()["topic"], "end", "no message of another topic is sent");
    let pace = run(["replay", &file, &path, "--speed", "0"]).failed(2);
    assert!(pace.contains("--speed <FACTOR>: expected a factor, such as 10 or 0.5, or max"), "{pace}");
    let begin = run(["replay", &file, &path, "--from", "noon"]).failed(2);
    assert!(begin.contains("expected seconds, such as 90, or a time, such as 2026"), "{begin}");
    let alone = run(["serve", &path, "--speed", "2"]).failed(2);
    assert!(alone.contains("--replay <FILE>"), "{alone}");
}

#[test]
fn replay_of_an_hour_takes_as_long_as_its_speed_says() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let lines =
        ["12", "13"].map(|hour| format!(r#"{{"time":"2026-01-31T{hour}:00:00Z","topic":"t","message":0}}"#));
    write(&file, lines.join("\n")).unwrap();
    let server = Running::serve(&path, []);
    for (speed, at_least) in [("36000", 100), ("max", 0)] {
        let start = Instant::now();
        assert_eq!(run(["replay", &file, &path, "--speed", speed]).well(), "");
        assert!(start.elapsed() >= Duration::from_millis(at_least), "{speed}: {:?}", start.elapsed());
        (0..2).for_each(|_| assert_eq!(server.json()["message"], 0));
    }
}

#[test]
fn replay_of_a_clock_that_was_set_back_does_not_wait_for_it() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let times = ["12:00:00.000", "13:00:00.000", "12:00:00.000", "12:00:00.400"];
    let lines = times.map(|time| format!(r#"{{"time":"2026-01-31T{time}Z","topic":"t","message":0}}"#));
    write(&file, lines[1..].join("\n")).unwrap();
    let server = Running::serve(&path, []);
    let start = Instant::now();
    assert_eq!(run(["replay", &file, &path]).well(), "");
    assert!(start.elapsed() >= Duration::from_millis(400));
    (0..3).for_each(|_| assert_eq!(server.json()["message"], 0));
}

#[test]
fn replay_wrong_line_is_named_by_its_number() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    let server = Running::serve(&path, []);
    ticks(&file, 2);
    let good = read_to_string(&file).unwrap();
    for (wrong, reason) in [
        ("hello", "expected value at line 1 column 1"),
        (r#"{"topic":"t","message":1}"#, "missing field `time` at line 1 column 25"),
        (r#"{"time":"2026-01-31T12:00:00Z","topic":"t"}"#, "missing field `message` at line 1 column 43"),
        (r#"{"time":"noon","topic":"t","message":1}"#, "`time`: "),
    ] {
        write(&file, format!("{good}\n{wrong}\n{good}")).unwrap();
        let why = run(["replay", &file, &path, "--speed", "max"]).failed(1);
        assert!(why.starts_with(&format!("line 4 of {file} is no recorded message: {reason}")), "{why}");
        // The lines before it are sent.
        (0..2).for_each(|number| assert_eq!(server.json()["message"], number));
    }
    let missing = run(["replay", "/nowhere/file", &path]).failed(1);
    assert_eq!(missing, "cannot read /nowhere/file: No such file or directory (os error 2)");
    assert!(run(["replay", "/tmp", &path]).failed(1).starts_with("cannot read /tmp: is a directory"));
    // A megabyte without an end is no line of a recording, nor are many.
    let long = File::create(&file).unwrap();
    long.set_len(64 << 20).unwrap();
    assert!(run(["replay", &file, &path]).failed(1).contains("is longer than any message"));
    let served = run(["serve", &path, "--replay", "/nowhere/file"]).failed(1);
    assert!(served.starts_with("cannot read /nowhere/file"));
}

#[test]
fn replay_server_gone_fails_at_once() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    ticks(&file, 2);
    let text = read_to_string(&file).unwrap().replacen("12:00:00.020", "23:00:00.000", 1);
    write(&file, text).unwrap();
    let why = run(["replay", &file, &path]).failed(3);
    assert!(why.starts_with("no server: "), "{why}");
    // The second message is due in hours, or later than this machine counts.
    for speed in ["1", "1e-19"] {
        let server = Running::serve(&path, []);
        let replay = Running::start(["replay", &file, &path, "--speed", speed]);
        server.error_with("socket-ipc: client 1 connected");
        assert_eq!(server.json()["message"], 0);
        server.signal(Signal::TERM);
        assert!(replay.end().failed(3).starts_with("lost the server"));
    }
}

#[test]
fn serve_replay_plays_to_its_first_client_and_goes_on() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    ticks(&file, 20);
    let all = read_to_string(&file).unwrap();
    let (before, after) = all.split_at(all.match_indices('\n').nth(9).unwrap().0 + 1);
    let other = before.lines().last().unwrap().replace("tick", "other");
    write(&file, format!("{before}{other}\n{after}")).unwrap();
    let mut server = Running::serve(&path, ["--replay", &file, "--topic", "tick", "--from", "0.1"]);
    let listener = Running::start(["listen", &path]);
    (5..20).for_each(|number| assert_eq!(listener.json(), json!({"topic": "tick", "message": number})));
    assert_eq!(server.error_with("socket-ipc: played"), format!("socket-ipc: played 15 messages of {file}"));
    server.tell("more 1");
    assert_eq!(listener.json(), json!({"topic": "more", "message": 1}));
    server.signal(Signal::TERM);
    assert_eq!(server.end().status, Some(0));
    // A wrong line ends it, after what came before.
    write(&file, format!("{all}what\n")).unwrap();
    let server = Running::serve(&path, ["--replay", &file, "--speed", "max"]);
    (0..20).for_each(|number| assert_eq!(listener.json(), json!({"topic": "tick", "message": number})));
    let end = server.end();
    assert_eq!(end.status, Some(1));
    assert!(end.errors.contains(&format!("line 21 of {file} is no recorded message")), "{}", end.errors);
    assert!(!Path::new(&path).exists());
}

#[test]
fn progress_is_a_bar_on_a_terminal_and_nothing_elsewhere() {
    let place = Place::new();
    let (path, file) = (place.socket(), recording(&place));
    ticks(&file, 30);
    let _server = Running::serve(&path, []);
    let Some(replay) = on_a_terminal("", &format!("replay {file} {path} --speed 4")) else { return };
    let shown = replay.end().output;
    assert!(shown.contains('█') && shown.contains("100 %  30 messages"), "{shown}");
    let input = place.file("numbers");
    write(&input, "1\n2\n3\n").unwrap();
    let send = on_a_terminal("", &format!("send {path} number - < {}", input.display())).unwrap();
    let shown = send.end().output;
    assert!(shown.contains("100 %  3 messages"), "{shown}");
    let mut send = command(["send", &path, "number", "-"]);
    let output = send.stdin(File::open(&input).unwrap()).stdout(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}
