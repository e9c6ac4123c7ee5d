//! A control: the foreign peers with each other. A failure here is theirs.
//! One runtime flavour is enough: this library has none of the sockets.

use support::Place;
use support::foreign::{Node, Peer, Role, all_batches, exchange, python, report, skip};

async fn converse(test: &str, mut server: Peer, mut client: Peer) {
    client.expect_after("connectError", "connect").await;
    server.expect_after("listening", "connection").await;
    let exchanged = exchange(&mut server, &mut client, &all_batches()).await;
    client.close().await;
    server.expect("connectionClose").await;
    server.close().await;
    report(test, &server, exchanged);
}

async fn node_with_node(version: &str) {
    let test = "Node with Node";
    let node = match Node::install(env!("CARGO_TARGET_TMPDIR")).await {
        Ok(node) => node,
        Err(why) => return skip(test, &why),
    };
    let place = Place::new();
    let server = node.start(version, Role::Server, &place.socket()).await;
    let client = node.start(version, Role::Client, &place.socket()).await;
    converse(test, server, client).await;
}

#[tokio::test]
async fn node_0_4_with_itself_converses() {
    node_with_node("0.4.0").await;
}

#[tokio::test]
async fn node_0_2_with_itself_converses() {
    node_with_node("0.2.0").await;
}

#[tokio::test]
async fn python_with_itself_converses() {
    let test = "Python with Python";
    let place = Place::new();
    let mut server = match python(Role::Server, &place.socket()).await {
        Ok(server) => server,
        Err(why) => return skip(test, &why),
    };
    server.expect("listening").await;
    let client = python(Role::Client, &place.socket()).await.unwrap();
    converse(test, server, client).await;
}
