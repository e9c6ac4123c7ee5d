//! The command in several terminals, and a Node program with generated types, on one socket.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use chat::{Hello, Mood, Submit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socket_ipc::{Protocol, Topic};
use support::foreign::skip;
use support::typescript::TypeScript;
use support::{Place, soon};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

#[path = "foreign/chat.rs"]
mod chat;

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting {
    text: String,
    mood: Mood,
    number: Option<u32>,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum, reply_topic = "sum")]
struct Add {
    left: u8,
    right: u8,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum(u8);

#[derive(Protocol)]
#[protocol(to_server(Hello, Add, Submit), to_client(Greeting))]
struct Chat;

/// The command, which cargo builds beside the tests.
fn command() -> PathBuf {
    let built = std::process::Command::new(env!("CARGO"))
        .args(["build", "-q", "--locked", "-p", "socket-ipc", "--features", "cli", "--bin", "socket-ipc"])
        .status();
    assert!(built.expect("cargo can be run").success());
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("socket-ipc")
}

/// A run of the command, as in a terminal of its own.
struct Running {
    process: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(command)
            .args(arguments)
            .args(["--wire", "node-0.4"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { input: process.stdin.take(), output, process }
    }

    async fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        soon("typing", input.write_all(format!("{line}\n").as_bytes())).await.unwrap();
    }

    /// The topic and the message of the next line.
    async fn next(&mut self) -> (String, Value) {
        let line = soon("a line", self.output.next_line()).await.unwrap().expect("another line");
        let line: Value = serde_json::from_str(&line).unwrap();
        (line["topic"].as_str().unwrap().to_owned(), line["message"].clone())
    }
}

#[test]
#[ignore = "whole processes"]
fn command_and_node_program_with_generated_types_share_a_socket() {
    support::run(tokio::runtime::Builder::new_multi_thread(), async {
        let typescript = match TypeScript::install(env!("CARGO_TARGET_TMPDIR")).await {
            Ok(typescript) => typescript,
            Err(why) => return skip("the command and a Node program", &why),
        };
        let (place, command) = (Place::new(), command());
        let path = place.socket().display().to_string();
        let mut description = Chat::schema();
        description.wire.delimiter = "\0\0".to_owned(); // that of the Node library, which `typed` is for
        std::fs::write(place.directory().join("topics.ts"), description.typescript()).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/typescript/greet.ts");
        std::fs::copy(program, place.directory().join("greet.ts")).unwrap();
        assert_eq!(typescript.compile(place.directory(), &["greet.ts"]).await, Ok(()));

        let mut serve = Running::start(&command, &["serve", &path]);
        let mut listen = Running::start(&command, &["listen", &path]);
        // `send` waits for the server, and then for the broadcast.
        let mut send = Running::start(
            &command,
            &[
                "send",
                &path,
                "hello",
                r#"{"name":"shell","mood":{"is":"Happy"}}"#,
                "--retry",
                "--wait",
                "greeting",
            ],
        );
        let (topic, message) = serve.next().await;
        assert_eq!((topic.as_str(), &message["name"]), ("hello", &Value::from("shell")));
        // The greeting is repeated until the listener has connected and receives it.
        let mut received = None;
        while received.is_none() {
            serve.type_line(r#"greeting {"text":"Hello, shell!","mood":{"is":"Happy"},"number":null}"#).await;
            let moment = std::time::Duration::from_millis(100);
            received = tokio::time::timeout(moment, listen.output.next_line()).await.ok();
        }
        let line = soon("the greeting", send.output.next_line()).await.unwrap().unwrap();
        assert!(line.contains("Hello, shell!"), "{line}");
        assert!(soon("its end", send.process.wait()).await.unwrap().success());

        let node = typescript.start(&place.directory().join("greet.js"), &place.socket());
        let (topic, message) = serve.next().await;
        assert_eq!((topic.as_str(), &message["name"]), ("hello", &Value::from("Node")));
        serve
            .type_line(r#"greeting {"text":"Hello, Node!","mood":{"is":"Puzzled","by":"types"},"number":1}"#)
            .await;
        let (topic, message) = serve.next().await;
        assert_eq!((topic.as_str(), message), ("add", serde_json::json!({"left": 2, "right": 3})));
        serve.type_line("sum 5").await;
        assert_eq!(serve.next().await.0, "add");
        serve.type_line(r#"error {"code":"failed","text":"that is too much"}"#).await;
        let output = soon("the end of the program", node.wait_with_output()).await.unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "5 100\nHello, Node! You are puzzled by types, number 1.\n2 + 3 = 5.0\nerror reply (failed): that is too much\n"
        );
        // The listener received everything after its first greeting.
        let mut topics = Vec::new();
        while topics.last().is_none_or(|topic| topic != "error") {
            topics.push(listen.next().await.0);
        }
        topics.retain(|topic| topic != "greeting");
        assert_eq!(topics, ["sum", "error"]);
    });
}
