//! Streams of programs in other languages, with the code of the chapter on languages.

use std::path::Path;
use std::process::{Output, Stdio};

use futures::StreamExt as _;
use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ErrorReply, Server, Topic};
use support::foreign::{is_here, skip};
use support::{Place, both_flavours, soon};
use tokio::process::Command;

/// How many items the streams have: more than fit into any window.
const ITEMS: u64 = 5_000;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count {
    to: u64,
}

/// The code of the chapter in a language that has this text in it, with another path.
fn code(language: &str, has: &str, path: &Path) -> String {
    let chapter = include_str!("../socket-ipc/src/guide/languages.md");
    let start = format!("```{language}\n");
    let blocks = chapter.split(&start).skip(1).filter_map(|rest| rest.split_once("```"));
    let found: Vec<_> = blocks.map(|(code, _)| code).filter(|code| code.contains(has)).collect();
    let [code] = found[..] else { panic!("{} blocks of {language} with {has}", found.len()) };
    ["/tmp/jobs.sock", "/tmp/count.sock"]
        .into_iter()
        .fold(code.to_owned(), |code, documented| code.replace(documented, path.to_str().unwrap()))
}

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The lines that a program has printed, which has to exit well.
fn printed(output: Output) -> Vec<String> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// A server whose `follow` has as many items as the name says.
async fn server(path: &Path) -> Server {
    #[derive(Deserialize)]
    struct Follow {
        name: String,
    }
    let server = Server::new(path);
    server
        .respond_stream_raw("follow", |message, _| {
            let to = message.decode::<Follow>().unwrap().name.parse().unwrap();
            stream::iter((0..to).map(Ok::<u64, ErrorReply>))
        })
        .unwrap();
    server.listen().await.unwrap();
    server
}

/// Runs code of the chapter that takes a stream, and compares what it prints.
async fn takes_a_stream(test: &str, code: (&str, &str), run: &[&str], needs: &[&str], end: &[&str]) {
    for name in needs {
        if let Err(why) = is_here(name).await {
            return skip(test, &why);
        }
    }
    let place = Place::new();
    let _server = server(&place.socket()).await;
    let all = self::code(code.0, code.1, &place.socket()).replace("dishes", &ITEMS.to_string());
    // The code for a shell is one command after the other.
    let parts: Vec<_> = if code.0 == "sh" { all.split("\n\n").collect() } else { vec![&*all] };
    let code = parts.into_iter().find(|part| part.contains(needs[0]) || needs[0] == run[0]).unwrap();
    let output = soon(test, program(run[0], &[&run[1..], &[code]].concat()).output()).await.unwrap();
    let mut expected: Vec<_> = (0..ITEMS).map(|number| number.to_string()).collect();
    expected.extend(end.iter().map(|line| (*line).to_owned()));
    assert_eq!(printed(output), expected);
}

both_flavours! {
    async fn stream_taken_by_python_arrives() {
        let code = ("python", "window=WINDOW");
        takes_a_stream("a stream in Python", code, &["python3", "-c"], &["python3"], &[]).await;
    }

    async fn stream_taken_by_node_arrives() {
        let code = ("js", "window: WINDOW");
        takes_a_stream("a stream in Node", code, &["node", "-e"], &["node"], &["the end"]).await;
    }

    async fn stream_taken_by_socat_arrives() {
        let code = ("sh", "\"dishes\"},\"window\":null");
        takes_a_stream("a stream in a shell with socat", code, &["sh", "-c"], &["socat", "jq"], &[]).await;
    }

    async fn stream_taken_by_nc_arrives() {
        let code = ("sh", "\"dishes\"},\"window\":null");
        takes_a_stream("a stream in a shell with nc", code, &["sh", "-c"], &["nc", "jq"], &[]).await;
    }

    async fn stream_served_by_python_arrives() {
        let test = "a stream of a server in Python";
        if let Err(why) = is_here("python3").await {
            return skip(test, &why);
        }
        let place = Place::new();
        let code = code("python", "def send_items", &place.socket());
        let mut peer = program("python3", &["-c", &code]).spawn().unwrap();
        let client = Client::new(place.socket());
        soon("the connection", client.connect()).await.unwrap();
        // The first one is read after the others, and one is dropped.
        let mut first = client.request_stream(&Count { to: ITEMS });
        soon("the start", first.started()).await.unwrap();
        let mut dropped = client.request_stream(&Count { to: u64::MAX });
        soon("the start", dropped.started()).await.unwrap();
        drop(dropped);
        for window in [200, 64 * 1024] {
            let items = client.request_stream(&Count { to: ITEMS }).window(window);
            let items: Vec<_> = soon("the items", items.map(Result::unwrap).collect()).await;
            assert_eq!(items, (0..ITEMS).collect::<Vec<_>>());
        }
        let items: Vec<_> = soon("the items", first.map(Result::unwrap).collect()).await;
        assert_eq!(items, (0..ITEMS).collect::<Vec<_>>());
        client.close().await;
        assert!(soon("the end of the peer", peer.wait()).await.unwrap().success());
    }
}
