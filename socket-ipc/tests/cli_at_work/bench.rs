//! `bench`, and `man`.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command::{COMMANDS, Place, Running, command, on_a_terminal, run};

/// A server that sends messages back, and whose output nobody reads.
fn echo(path: &str) -> Running {
    let mut command = command(["serve", path, "--echo"]);
    let mut server = Running::of(&mut command);
    server.error_with("socket-ipc: listening on");
    drop(server.input.take());
    server
}

#[test]
fn bench_prints_round_trips_with_a_histogram_and_the_one_way_rate() {
    let place = Place::new();
    let path = place.socket();
    let server = echo(&path);
    let report = run(["bench", &path, "--count", "50", "--size", "300"]).well();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["path"], &report["size"]), (&json!(path), &json!(300)));
    let round_trips = &report["round_trips"];
    assert_eq!(round_trips["messages"], 50);
    let time = |name: &str| round_trips[name].as_f64().unwrap();
    // No round trip of two processes takes less than a microsecond.
    assert!(1.0 < time("p50") && time("p50") <= time("p90"), "{report}");
    assert!(time("p90") <= time("p99") && time("p99") <= time("max") * 1.01, "{report}");
    let total = time("seconds") * 1e6;
    assert!(time("max") < total && time("p50") * 25.0 < total, "{report}");
    let bars = round_trips["histogram"].as_array().unwrap();
    let counts = bars.iter().map(|bar| bar["messages"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 50, "{report}");
    assert!(bars[0]["messages"] != 0 && bars.last().unwrap()["up_to"].as_f64().unwrap() >= time("max"));
    let one_way = &report["one_way"];
    assert_eq!(one_way["messages"], 500);
    let rate = one_way["rate"].as_f64().unwrap();
    assert!(rate > 1.0 && one_way["bytes"].as_f64().unwrap() > 300.0 * rate, "{report}");
    let Some(shown) = on_a_terminal("NO_COLOR=1", &format!("bench {path} --count 20")) else { return };
    let shown = shown.end().output;
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("round trips: ") && lines[0].contains("(20 in "), "{shown}");
    assert!(lines[1].trim_start().starts_with("p50 ") && lines[2].contains("█"), "{shown}");
    assert!(lines.last().unwrap().starts_with("one way: "), "{shown}");
    drop(server);
}

#[test]
fn bench_without_echo_without_server_or_with_one_that_goes_fails_by_name() {
    let place = Place::new();
    let path = place.socket();
    assert!(run(["bench", &path]).failed(3).starts_with("no server: "));
    let server = Running::serve(&path, []);
    let why = run(["bench", &path, "--timeout", "0.2"]).failed(5);
    assert!(why.starts_with("no message of `bench` came back within 200ms: bench needs a server"), "{why}");
    let bench = Running::start(["bench", &path, "--timeout", "30"]);
    server.error_with("socket-ipc: client 2 connected");
    server.signal(Signal::TERM);
    assert!(bench.end().failed(3).starts_with("lost the server"));
}

#[test]
fn man_writes_a_page_for_each_subcommand_and_each_has_an_example() {
    let place = Place::new();
    let directory = place.file("man/man1");
    let to = directory.to_str().unwrap();
    assert_eq!(run(["man", to]).well(), "");
    let page = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    assert!(page("socket-ipc.1").contains("socket\\-ipc\\-record(1)"));
    let own = COMMANDS.iter().map(|name| format!("socket-ipc-{name}.1"));
    let mut expected = Vec::from_iter(own.chain(["socket-ipc.1".to_owned()]));
    for name in &expected {
        let page = page(name);
        assert!(page.starts_with(".ie") && page.contains("\n  Example: "), "{name}: {page}");
    }
    let entries = std::fs::read_dir(&directory).unwrap();
    let mut written = Vec::from_iter(entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
    expected.sort();
    written.sort();
    assert_eq!(written, expected);
    assert!(page("socket-ipc-record.1").contains("day.jsonl"));
    let why = run(["man", "/dev/null/man"]).failed(1);
    assert!(why.starts_with("cannot write man pages to /dev/null/man: "), "{why}");
}
