//! older-peer client|server <socket file>
//!
//! A client or a server of an earlier version of this library, and of its names. It takes commands and prints events as
//! all foreign peers do; `tests/foreign/support.rs` documents both. Its commands are these:
//!
//! | command | what it does |
//! |---|---|
//! | `add 2 3` | requests `add`, and expects the reply under the topic `sum` |
//! | `work 5` | requests `work`, and expects the reply under the topic `worked` |
//! | `request <topic> <JSON>` | requests, and takes any reply |
//! | `send <topic> <JSON>` | sends a plain message |
//! | `finish` | lets the responder of `work` end |
//! | `late` | prints how many late replies it has counted |
//! | `close` | closes its end, and ends |
//!
//! It responds to `add`, and to `work`, whose reply waits for `finish`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::{Client, ClientId, RequestError, Server, Topic};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{Notify, mpsc};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add(i64, i64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum(i64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "work", reply = Worked)]
struct Work(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "worked"]
struct Worked(u64);

fn add(Add(left, right): Add) -> Result<Sum, &'static str> {
    left.checked_add(right).map(Sum).ok_or("more than fits")
}

async fn work(Work(number): Work, finish: Arc<Notify>) -> Worked {
    print("begun", json!(number));
    finish.notified().await;
    print("ended", json!(number));
    Worked(number)
}

fn print(event: &str, message: Value) {
    println!("{}", json!({ "event": event, "message": message }));
}

fn print_reply(reply: Result<Value, RequestError>) {
    match reply {
        Ok(reply) => print("reply", reply),
        Err(RequestError::Rejected { code, text, .. }) => print("rejected", json!({ "code": code, "text": text })),
        Err(error) => print("failed", json!(error.to_string())),
    }
}

/// Attaches the listeners of a client or a server, whose closures take `$id` beside a message.
macro_rules! listen {
    ($end:expr, $finish:expr $(, $id:tt)?) => {
        for topic in ["sum", "error"] {
            $end.on_topic(topic, move |message $(, $id)?| {
                let message = message.to_value().unwrap();
                println!("{}", json!({ "event": "received", "topic": topic, "message": message }));
            });
        }
        $end.on_fallback(|message, topic $(, $id)?| {
            let message = message.to_value().unwrap();
            println!("{}", json!({ "event": "fallback", "topic": topic, "message": message }));
        });
        $end.on_message_error(|error $(, $id)?| print("message error", json!(error.to_string())));
        $end.respond::<Add>(|request $(, $id)?| add(request)).unwrap();
        let finish = Arc::clone(&$finish);
        $end.respond_async::<Work>(move |request $(, $id)?| work(request, Arc::clone(&finish))).unwrap();
    };
}

/// Carries out a command by the methods of a client or a server, which take `$id` beside a message.
macro_rules! obey {
    ($end:expr, $line:expr $(, $id:expr)?) => {
        match $line.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["add", left, right] => {
                let request = Add(left.parse().unwrap(), right.parse().unwrap());
                let reply = $end.request(&request $(, $id)?);
                print_reply(reply.await.map(|Sum(sum)| json!(sum)));
            }
            ["work", number] => {
                let reply = $end.request(&Work(number.parse().unwrap()) $(, $id)?);
                print_reply(reply.await.map(|Worked(number)| json!(number)));
            }
            ["request", topic, message] => {
                let message: Value = serde_json::from_str(message).unwrap();
                let reply = $end.request_raw(topic, &message $(, $id)?);
                print_reply(reply.await.map(|reply| reply.to_value().unwrap()));
            }
            ["send", topic, message] => {
                let message: Value = serde_json::from_str(message).unwrap();
                $end.send_raw(topic, &message $(, $id)?).unwrap();
            }
            ["late"] => print("late", json!($end.stats().late_replies)),
            _ => panic!("no command: {}", $line),
        }
    };
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, role, socket] = &arguments[..] else { panic!("older-peer client|server <socket file>") };
    println!("{}", json!({ "event": "ready", "peer": format!("an earlier version as a {role}") }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let finish = Arc::new(Notify::new());
    if role == "server" {
        let server = Server::new(socket);
        listen!(server, finish, _);
        let (connected, mut connections) = mpsc::unbounded_channel::<ClientId>();
        server.on_connection(move |id| connected.send(id).unwrap());
        server.listen().await.unwrap();
        print("listening", Value::Null);
        let id = connections.recv().await.unwrap();
        print("connection", Value::Null);
        while let Some(line) = lines.next_line().await.unwrap() {
            match &*line {
                "finish" => finish.notify_one(),
                "close" => return server.close().await,
                line => obey!(server, line, id),
            }
        }
    } else {
        let client = Client::new(socket);
        listen!(client, finish);
        client.connect().await.unwrap();
        print("connect", Value::Null);
        while let Some(line) = lines.next_line().await.unwrap() {
            match &*line {
                "finish" => finish.notify_one(),
                "close" => return client.close().await,
                line => obey!(client, line),
            }
        }
    }
}
