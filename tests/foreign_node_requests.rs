//! What the published Node library makes of requests, in both roles: of every key of the envelope and of control lines,
//! and what this library makes of the messages that it sends.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::{Client, RequestError, Server, Topic, Wire};
use support::foreign::{Node, Peer, Role};
use support::{Events, Place, RawPeer, both_flavours, skip, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64, reply_topic = "sum", error = TooMuch)]
struct Add(i64, i64);

#[derive(Serialize, Deserialize, Debug, PartialEq, thiserror::Error)]
#[error("more than fits")]
struct TooMuch {
    left: i64,
}

/// Without a topic for its replies.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "multiply", reply = i64)]
struct Multiply(i64, i64);

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3_600);
/// Exact in JavaScript, whose numbers are floats.
const MOST: i64 = 1 << 50;

/// A version of the Node library, and its wire.
type Version = (&'static str, Wire);

const V0_4: Version = ("0.4.0", Wire::NODE_0_4);
const V0_2: Version = ("0.2.0", Wire::NODE_0_2);

/// `None` if the library can't be installed here; the skip is reported.
async fn node(test: &str) -> Option<Node> {
    Node::install(env!("CARGO_TARGET_TMPDIR")).await.map_err(|why| skip(test, &why)).ok()
}

/// A peer of Node, and the bytes of its connection.
async fn raw(node: &Node, number: &str, role: Role, path: &Path) -> (Peer, RawPeer) {
    if role == Role::Server {
        let mut theirs = node.start(number, role, path).await;
        theirs.expect("listening").await;
        let ours = RawPeer::connect(path).await;
        theirs.expect("connection").await;
        return (theirs, ours);
    }
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let mut theirs = node.start(number, role, path).await;
    let ours = RawPeer::over(soon("a connection", listener.accept()).await.unwrap().0);
    theirs.expect("connect").await;
    (theirs, ours)
}

/// Each key and each control line is ignored: a listener of the topic gets the message.
async fn every_line_is_a_message((number, wire): Version, role: Role) {
    let Some(node) = node("the lines of requests to Node").await else { return };
    let place = Place::new();
    let (mut theirs, mut ours) = raw(&node, number, role, &place.socket()).await;
    let failed = json!({ "code": "failed", "text": "more than fits", "data": { "left": 1 } });
    for (topic, message, keys) in [
        ("add", json!([2, 3]), r#""id":7"#),
        ("add", json!([2, 3]), r#""id":"a-7""#),
        ("sum", json!(5), r#""re":7"#),
        ("sum", json!(5), r#""re":null"#),
        ("error", failed.clone(), r#""error":true,"re":7"#),
        ("error", failed, r#""error":true,"re":null"#),
        ("socket-ipc.cancel", json!(7), r#""re":0"#),
    ] {
        ours.write(format!("{{\"topic\":\"{topic}\",\"message\":{message},{keys}}}{}", wire.delimiter()))
            .await;
        assert_eq!(theirs.plain().await, ("received".into(), topic.into(), message), "{keys}");
    }
    // What it sends has no keys of requests.
    theirs.command("say sum 5").await;
    let line = ours.until(wire.delimiter().as_bytes()).await.expect("a message of Node");
    assert_eq!(String::from_utf8(line).unwrap(), r#"{"topic":"sum","message":5}"#);
}

/// Attaches the responders and listeners of our endpoint, whose closures take `$id` beside a message.
macro_rules! attach {
    ($end:expr, $received:expr $(, $id:tt)?) => {
        let too_much = |left| move || TooMuch { left };
        $end.respond::<Add>(move |Add(left, right) $(, $id)?| {
            Some(left + right).filter(|sum| *sum <= MOST).ok_or_else(too_much(left))
        }).unwrap();
        $end.respond::<Multiply>(|Multiply(left, right) $(, $id)?| left * right).unwrap();
        let report = $received.reporter();
        $end.on_fallback(move |message, topic $(, $id)?| report((topic.to_owned(), message.to_value().unwrap())));
    };
}

/// Makes a program of Node request by plain messages. There is a reply where the topic has a `reply_topic`.
async fn requests_by_plain_messages(theirs: &mut Peer) {
    theirs.command("say add [2,3]").await;
    assert_eq!(theirs.plain().await, ("received".into(), "sum".into(), json!(5)));
    theirs.command(&format!("say add [{MOST},1]")).await;
    let error = json!({ "code": "failed", "text": "more than fits", "data": { "left": MOST } });
    assert_eq!(theirs.plain().await, ("received".into(), "error".into(), error));
    theirs.command("say multiply [2,3]").await;
    // Nothing came before the reply to this.
    theirs.command("say add [3,4]").await;
    assert_eq!(theirs.plain().await, ("received".into(), "sum".into(), json!(7)));
}

/// Carries out a request of ours: it reaches listeners, what comes back has no `re`, and giving up tells nobody.
macro_rules! request_of_node {
    ($end:expr, $theirs:expr, $received:expr $(, $id:expr)?) => {
        let reply = $end.request(&Add(2, 3) $(, $id)?);
        assert_eq!($theirs.plain().await, ("received".into(), "add".into(), json!([2, 3])));
        $theirs.command("say sum 5").await;
        assert_eq!($received.next().await, ("sum".into(), json!(5)));
        drop(reply);
        let reply = $end.request(&Add(3, 4) $(, $id)?).timeout(Duration::from_millis(1));
        let error = soon("the deadline", reply).await.unwrap_err();
        assert!(matches!(error, RequestError::Timeout { .. }), "{error:?}");
        // No control line came before these.
        assert_eq!($theirs.plain().await, ("received".into(), "add".into(), json!([3, 4])));
        $end.send_raw("after", &1 $(, $id)?).unwrap();
        assert_eq!($theirs.plain().await, ("received".into(), "after".into(), json!(1)));
    };
}

async fn client_of_node((number, wire): Version) {
    let Some(node) = node("requests with a Node client").await else { return };
    let place = Place::new();
    let server = Server::builder(place.socket()).wire(wire).request_timeout(LONG).build();
    let (mut received, mut connections) = (Events::<(String, Value)>::new(), Events::new());
    attach!(server, received, _);
    server.on_connection(connections.reporter());
    server.listen().await.unwrap();
    let mut theirs = node.start(number, Role::Client, &place.socket()).await;
    theirs.expect("connect").await;
    let id = connections.next().await;
    requests_by_plain_messages(&mut theirs).await;
    assert_eq!(server.stats().dropped_replies, 1);
    request_of_node!(server, theirs, received, id);
}

async fn server_of_node((number, wire): Version) {
    let Some(node) = node("requests with a Node server").await else { return };
    let place = Place::new();
    let mut theirs = node.start(number, Role::Server, &place.socket()).await;
    theirs.expect("listening").await;
    let client = Client::builder(place.socket()).wire(wire).request_timeout(LONG).build();
    let mut received = Events::<(String, Value)>::new();
    attach!(client, received);
    soon("a connection", client.connect()).await.unwrap();
    theirs.expect("connection").await;
    requests_by_plain_messages(&mut theirs).await;
    assert_eq!(client.stats().dropped_replies, 1);
    request_of_node!(client, theirs, received);
}

both_flavours! {
    async fn node_0_4_client_receives_every_line_as_message() {
        every_line_is_a_message(V0_4, Role::Client).await;
    }

    async fn node_0_4_server_receives_every_line_as_message() {
        every_line_is_a_message(V0_4, Role::Server).await;
    }

    async fn node_0_2_client_receives_every_line_as_message() {
        every_line_is_a_message(V0_2, Role::Client).await;
    }

    async fn node_0_2_server_receives_every_line_as_message() {
        every_line_is_a_message(V0_2, Role::Server).await;
    }

    async fn node_0_4_client_requests_by_plain_messages() {
        client_of_node(V0_4).await;
    }

    async fn node_0_4_server_requests_by_plain_messages() {
        server_of_node(V0_4).await;
    }

    async fn node_0_2_client_requests_by_plain_messages() {
        client_of_node(V0_2).await;
    }

    async fn node_0_2_server_requests_by_plain_messages() {
        server_of_node(V0_2).await;
    }
}
