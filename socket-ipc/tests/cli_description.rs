//! The command `socket-ipc` as whole processes: servers with and without a description.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod command;

use std::os::unix::net::UnixListener;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::{ErrorReply, Protocol, RawMessage, Server, Topic};
use tokio::runtime::Runtime;

use command::{Place, Running, accept, on_a_terminal, run};

/// A server that replies as a server of another version does that describes itself.
fn described(path: &str, description: &str) -> (Runtime, Server) {
    let runtime = Runtime::new().unwrap();
    let server = Server::new(path);
    for (topic, reply) in
        [("socket-ipc.describe", description.to_owned()), ("socket-ipc.stats", STATS.to_owned())]
    {
        let reply: Box<serde_json::value::RawValue> = serde_json::from_str(&reply).unwrap();
        let replies = move |_: RawMessage<'_>, _| Ok::<_, ErrorReply>(reply.clone());
        server.respond_raw(topic, Some("reply"), replies).unwrap();
    }
    runtime.block_on(server.listen()).unwrap();
    (runtime, server)
}

const STATS: &str = r#"{"open_connections":1,"total_connections":7,"received":{"messages":3,"bytes":90},
    "sent":{"messages":2,"bytes":80},"topics":[],"other_topics":{"topic":"","received":{"messages":0,"bytes":0},
    "sent":{"messages":0,"bytes":0}},"message_errors":0,"outbox_len":0,"outbox_peak":0,"slow_consumers":0,"late_replies":0}"#;

const CALCULATOR: &str = r##"{"version":"9.9.9","protocol":"Calculator","later":true,
    "limits":{"max_message_len":4194304,"max_topic_len":256},"wire":{"delimiter":"\n","message_key":"message"},
    "topics":[
        {"topic":"add","direction":"to_server","reply":"sum","exact":1.0,
            "schema":{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Add","type":"object",
                "properties":{"left":{"$ref":"#/$defs/Term"},"right":{"$ref":"#/$defs/Term"},"note":{"type":["string","null"]}},
                "required":["left","right"],
                "$defs":{"Term":{"description":"One of two.","type":"integer"}}},
            "reply_schema":{"title":"Sum","type":"integer"}},
        {"topic":"the news","direction":"to_client"},
        {"topic":"follow","direction":"to_server","stream":true,"item_schema":{"title":"JobEvent","type":"string"}}]}"##;

#[test]
fn topics_prints_the_topics_as_described() {
    let place = Place::new();
    let path = place.socket();
    let (_runtime, _server) = described(&path, CALCULATOR);
    let listed = run(["topics", &path]).well();
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(
        lines[0].starts_with(r#"{"topic":"add","direction":"to_server","reply":"sum","exact":1.0,"#),
        "{listed}"
    );
    assert_eq!(lines[1], r#"{"topic":"the news","direction":"to_client"}"#);
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("topics {path}")) else { return };
    assert_eq!(terminal.line(), "to server  add, reply under sum");
    assert_eq!(terminal.line(), "to client  \"the news\"");
    assert_eq!(terminal.line(), "to server  follow, a stream");
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "how many", reply = usize)]
struct HowMany;

#[derive(Protocol)]
#[protocol(to_server(HowMany), to_client(Hello))]
struct Chat;

#[test]
fn topics_types_and_status_of_server_with_protocol() {
    let place = Place::new();
    let path = place.socket();
    let runtime = Runtime::new().unwrap();
    let server = Chat::server(&path).describe().build();
    runtime.block_on(server.listen()).unwrap();
    let listed = run(["topics", &path]).well();
    let lines: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{listed}");
    for (line, expected) in lines.iter().zip([["how many", "to_server"], ["hello", "to_client"]]) {
        assert_eq!([&line["topic"], &line["direction"]], expected);
    }
    assert_eq!(lines[0]["reply"], "how many");
    let types = run(["types", &path, "--lang", "typescript"]).well();
    assert!(types.starts_with("/** The topics of `Chat`, "), "{types}");
    assert!(types.contains("export interface ToServer {\n    \"how many\": "), "{types}");
    assert!(types.contains("export interface Replies {\n    \"how many\": unknown;"), "{types}");
    let report: Value = serde_json::from_str(&run(["status", &path]).well()).unwrap();
    assert_eq!(report["description"]["protocol"], "Chat");
    // The connections of `topics` and `types`, without that of this `status`.
    assert_eq!(report["stats"]["total_connections"], 2);
    assert_eq!(report["stats"]["open_connections"], 0);
    // Nor do the requests that are about the server itself count.
    let nothing = json!({"messages": 0, "bytes": 0});
    assert_eq!((&report["stats"]["received"], &report["stats"]["sent"]), (&nothing, &nothing), "{report}");
    let topics = report["stats"]["topics"].as_array().unwrap();
    assert!(topics.iter().all(|topic| topic["received"] == nothing && topic["sent"] == nothing), "{report}");
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("status {path}")) else { return };
    assert!(terminal.line().starts_with(&format!("{path} is alive, process {} ", std::process::id())));
    assert_eq!(terminal.line(), format!("socket-ipc {}, protocol Chat, 2 topics", env!("CARGO_PKG_VERSION")));
    assert_eq!(terminal.line(), "clients: 0 now, 3 in all, 0 disconnected as slow consumers");
    assert_eq!(terminal.line(), "messages: 0 received (0 a second), 0 sent (0 a second)");
    assert_eq!(terminal.line(), "in flight: 0 requests, 0 streams");
    let queued = terminal.line();
    assert!(queued.starts_with("queued: ") && queued.ends_with(" at most"), "{queued}");
    runtime.block_on(server.close());
}

#[test]
fn serve_describes_itself_and_prints_no_such_requests() {
    let place = Place::new();
    let path = place.socket();
    let server = Running::serve(&path, ["--echo"]);
    assert_eq!(run(["topics", &path]).well(), "");
    let report: Value = serde_json::from_str(&run(["status", &path]).well()).unwrap();
    assert_eq!(report["description"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(run(["send", &path, "hello", "--wait", "hello"]).well(), "null\n");
    assert_eq!(server.json(), json!({"client": 3, "topic": "hello", "message": null}));
}

#[test]
fn types_in_each_language_are_printed() {
    let place = Place::new();
    let path = place.socket();
    let (_runtime, _server) = described(&path, CALCULATOR);
    let types = run(["types", &path, "--lang", "typescript"]).well();
    for part in [
        "export interface Add {",
        "/** One of two. */\nexport type Term = number;",
        "    add: Add;",
        "    \"the news\": unknown;",
        "export interface Streams {\n    follow: JobEvent;\n}",
    ] {
        assert!(types.contains(part), "no {part} in:\n{types}");
    }
    let schemas = run(["types", &path, "--lang", "json-schema"]).well();
    let schemas: Value = serde_json::from_str(&schemas).unwrap();
    assert_eq!(
        (&schemas["title"], &schemas["$defs"]["Term"]["type"]),
        (&json!("Calculator"), &json!("integer"))
    );
    assert_eq!(schemas["$defs"]["ToServer"]["anyOf"][0]["properties"]["topic"], json!({"const": "add"}));
    let file = run(["types", &path, "--lang", "typescript", "--client"]).well();
    for part in ["export interface Add {", "export class Client {", "    bigint: false as boolean,"] {
        assert!(file.contains(part), "no {part} in:\n{file}");
    }
    let file = run(["types", &path, "--lang", "typescript", "--client", "--integers", "bigint"]).well();
    assert!(
        file.contains("    bigint: true as boolean,") && file.contains("export type Term = bigint;"),
        "{file}"
    );
    let types = run(["types", &path, "--lang", "python"]).well();
    assert!(types.contains("class Add(TypedDict):") && !types.contains("class Client"), "{types}");
    let file = run(["types", &path, "--lang", "python", "--client"]).well();
    assert!(file.contains("class Add(TypedDict):") && file.contains("\nclass Client:\n"), "{file}");
    let choice = run(["types", &path, "--lang", "python", "--client", "--integers", "bigint"]).failed(2);
    assert!(choice.starts_with("--integers: only a client in TypeScript has a choice"), "{choice}");
    let without = run(["types", &path, "--lang", "typescript", "--integers", "bigint"]).failed(2);
    assert!(without.starts_with("missing --client"), "{without}");
    let schema = run(["types", &path, "--lang", "json-schema", "--client"]).failed(2);
    assert!(schema.starts_with("--client: a JSON schema has no client"), "{schema}");
    let wrong = run(["types", &path, "--lang", "java"]).failed(2);
    assert!(
        wrong.starts_with("--lang <LANG>: expected one of typescript, python, json-schema, found 'java'"),
        "{wrong}"
    );
    assert!(run(["types", &path]).failed(2).starts_with("missing --lang <LANG>; expected "));
}

#[test]
fn status_described_server_prints_description_and_stats() {
    let place = Place::new();
    let path = place.socket();
    let (_runtime, _server) = described(&path, CALCULATOR);
    let report: Value = serde_json::from_str(&run(["status", &path]).well()).unwrap();
    assert_eq!(report["alive"], true);
    assert_eq!(report["description"]["protocol"], "Calculator");
    assert_eq!(report["stats"]["total_connections"], 6);
    assert_eq!(report["rates"], json!({"received": 0.0, "sent": 0.0}), "no other client sends anything");
    let Some(terminal) = on_a_terminal("NO_COLOR=1", &format!("status {path}")) else { return };
    assert!(terminal.line().starts_with(&format!("{path} is alive, process {} ", std::process::id())));
    assert_eq!(terminal.line(), "socket-ipc 9.9.9, protocol Calculator, 3 topics");
    assert_eq!(terminal.line(), "clients: 0 now, 6 in all, 0 disconnected as slow consumers");
    assert_eq!(terminal.line(), "messages: 3 received (0 a second), 2 sent (0 a second)");
}

#[test]
fn status_server_without_description_is_alive() {
    let place = Place::new();
    let path = place.socket();
    let runtime = Runtime::new().unwrap();
    let server = Server::new(&path);
    runtime.block_on(server.listen()).unwrap();
    let missing = "the server does not describe itself: it has no responder for `socket-ipc.describe`";
    let alive = run(["status", &path]);
    assert_eq!((alive.status, alive.errors), (Some(0), format!("socket-ipc: {missing}\n")));
    let report: Value = serde_json::from_str(&alive.output).unwrap();
    for absent in ["description", "stats", "rates"] {
        assert_eq!(report[absent], Value::Null, "{absent}");
    }
    assert_eq!(run(["topics", &path]).failed(4), missing);
    assert_eq!(run(["types", &path, "--lang", "typescript"]).failed(4), missing);
    runtime.block_on(server.close());

    // A server that knows no requests.
    let listener = UnixListener::bind(&path).unwrap();
    let silence = "the server does not describe itself: no reply to `socket-ipc.describe` came within 100ms";
    for (arguments, status) in [
        (&["status", &path][..], 0),
        (&["topics", &path], 5),
        (&["types", &path, "--lang", "json-schema"], 5),
    ] {
        let requesting = Running::of(&mut command::command([arguments, &["--timeout", "0.1"]].concat()));
        let silent = accept(&listener);
        // Printed while the connection is still open.
        assert_eq!(requesting.error(), format!("socket-ipc: {silence}"));
        drop(silent);
        assert_eq!(requesting.end().status, Some(status));
    }
}

#[test]
fn topics_reply_is_no_description_returns_error() {
    let place = Place::new();
    let path = place.socket();
    let (_runtime, _server) = described(&path, r#"{"version":1}"#);
    let failed = run(["topics", &path]).failed(1);
    assert!(failed.starts_with("the reply of the server to `socket-ipc.describe` is no description: "));
    assert_eq!(run(["status", &path]).status, Some(0));
}
