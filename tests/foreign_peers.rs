//! A control: the foreign peers, without this library between them. What fails here is the peers' own doing.

use support::foreign::{Node, Peer, Role, everything, exchange, python, report, skip};
use support::on_both_runtimes;

async fn converse(mut server: Peer, mut client: Peer) {
    client.expect_after("connectError", "connect").await;
    server.expect_after("listening", "connection").await;
    let exchanged = exchange(&mut server, &mut client, &everything()).await;
    client.close().await;
    server.expect("connectionClose").await;
    server.close().await;
    report(server.name(), exchanged);
}

async fn node_with_node(version: &str) {
    let node = match Node::install(env!("CARGO_TARGET_TMPDIR")).await {
        Ok(node) => node,
        Err(why) => return skip(&why),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let server = node.start(version, Role::Server, &path).await;
    let client = node.start(version, Role::Client, &path).await;
    converse(server, client).await;
}

on_both_runtimes!(node_0_4, node_with_node("0.4.0"));
on_both_runtimes!(node_0_2, node_with_node("0.2.0"));

#[tokio::test]
async fn python_with_python() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut server = match python(Role::Server, &path).await {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    server.expect("listening").await;
    let client = python(Role::Client, &path).await.unwrap();
    converse(server, client).await;
}
