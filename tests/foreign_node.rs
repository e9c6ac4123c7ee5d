//! The published Node library, unchanged, as client of our server and as server of our client.

use socket_ipc::Wire;
use support::foreign::{Batch, Conversant, Node, Role, all_batches, exchange, report, skip, some_batches};
use support::ours::{OurClient, OurServer};
use support::{Place, both_flavours};

/// A version of the Node library, and its wire.
struct Version {
    node: Node,
    number: &'static str,
    wire: Wire,
    place: Place,
}

const V0_4: (&str, Wire) = ("0.4.0", Wire::NODE_0_4);
const V0_2: (&str, Wire) = ("0.2.0", Wire::NODE_0_2);

/// `None` if the library can't be installed here; the skip is reported.
async fn version(test: &str, (number, wire): (&'static str, Wire)) -> Option<Version> {
    match Node::install(env!("CARGO_TARGET_TMPDIR")).await {
        Ok(node) => Some(Version { node, number, wire, place: Place::new() }),
        Err(why) => {
            skip(test, &why);
            None
        }
    }
}

/// The events of the Node client when it is closed: 0.2 calls the event `closed`, which 0.4 has beside `close`.
fn client_closed(number: &str) -> &'static [&'static str] {
    if number == "0.2.0" { &["closed"] } else { &["closed", "close"] }
}

/// The events of the Node server when it is closed without a connected client.
fn server_closed(number: &str) -> &'static [&'static str] {
    if number == "0.2.0" { &["close"] } else { &["closed", "close"] }
}

/// The events of the Node server when it is closed with a connected client.
fn server_closed_with_client(number: &str) -> &'static [&'static str] {
    if number == "0.2.0" { &["close", "connectionClose"] } else { &["closed", "close", "connectionClose"] }
}

async fn their_client_our_server(which: (&'static str, Wire)) {
    let test = "a Node client of our server";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();

    // The client starts before the server.
    let mut theirs = node.start(number, Role::Client, &path).await;
    theirs.expect("connectError").await;
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    ours.accept_client().await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &all_batches()).await;

    // An envelope without a topic: for Node a message under `undefined`, for this library a message error.
    theirs.command("untopical").await;
    let error = ours.message_error().await;
    assert!(error.contains("topic"), "{error}");
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    // The server restarts twice: after a close, and after a drop.
    ours.close().await;
    theirs.expect("disconnect").await;
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    theirs.expect("reconnect").await;
    ours.accept_client().await;
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    drop(ours);
    theirs.expect("disconnect").await;
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    theirs.expect("reconnect").await;
    ours.accept_client().await;
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    theirs.close().await;
    theirs.expect_all(client_closed(number)).await;
    ours.expect_client_leaves().await;
    ours.close().await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

async fn our_client_their_server(which: (&'static str, Wire)) {
    let test = "a Node server of our client";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();

    // The client starts before the server.
    let mut ours = OurClient::new(&path, wire);
    ours.connect();
    ours.expect("connectError").await;
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    theirs.expect("connection").await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &all_batches()).await;

    theirs.command("untopical").await;
    let error = ours.message_error().await;
    assert!(error.contains("topic"), "{error}");
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    // The server restarts. Its close ends only once our client has closed its end, too.
    theirs.close().await;
    theirs.expect_all(server_closed_with_client(number)).await;
    theirs.end().await;
    ours.expect("disconnect").await;
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    ours.expect("reconnect").await;
    theirs.expect("connection").await;
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    // The server is killed, and leaves its socket file behind.
    theirs.kill().await;
    ours.expect("disconnect").await;
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    ours.expect("reconnect").await;
    theirs.expect("connection").await;
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    ours.close().await;
    theirs.expect("connectionClose").await;
    theirs.close().await;
    theirs.expect_all(server_closed(number)).await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

/// Sends more than the socket buffers hold.
async fn flood(theirs: &mut impl Conversant) {
    for batch in [Batch::Big(4_000_000), Batch::Count(0..5000), Batch::Big(4_000_000), Batch::Big(4_000_000)]
    {
        theirs.send(&batch).await;
    }
}

/// A connection that ends with unread bytes is reset. A Node server without a listener for the `error` of its sockets,
/// which its documentation does not ask for, then ends with an uncaught exception. So our client reads everything
/// first.
async fn our_client_closes_under_load(which: (&'static str, Wire)) {
    let test = "a Node server whose client closes under load";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    let mut ours = OurClient::new(&path, wire);
    ours.connect();
    ours.expect("connect").await;
    theirs.expect("connection").await;
    flood(&mut theirs).await;
    ours.receive().await;
    ours.close_under_load().await;
    theirs.expect("connectionClose").await;

    // The server runs on, and serves the next client.
    let mut ours = OurClient::new(&path, wire);
    ours.connect();
    ours.expect("connect").await;
    theirs.expect("connection").await;
    let exchanged = exchange(&mut ours, &mut theirs, &some_batches()).await;
    ours.close().await;
    report(test, &theirs, exchanged);
}

/// A Node client whose connection is reset emits an `error`, which ends its process if it has no listener for it.
/// One whose server is closed emits only a `disconnect`.
async fn our_server_closes_under_load(which: (&'static str, Wire)) {
    let test = "a Node client whose server closes under load";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();
    let mut ours = OurServer::listen(&path, wire).await;
    let mut theirs = node.start(number, Role::Client, &path).await;
    theirs.expect("connect").await;
    ours.accept_client().await;
    flood(&mut theirs).await;
    ours.receive().await;
    ours.close_under_load().await;
    theirs.expect("disconnect").await;

    // The client reconnects by itself.
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    theirs.expect("reconnect").await;
    ours.accept_client().await;
    let exchanged = exchange(&mut ours, &mut theirs, &some_batches()).await;
    ours.close().await;
    report(test, &theirs, exchanged);
}

both_flavours! {
    async fn node_0_4_client_our_server_converses() {
        their_client_our_server(V0_4).await;
    }

    async fn node_0_2_client_our_server_converses() {
        their_client_our_server(V0_2).await;
    }

    async fn node_0_4_server_our_client_converses() {
        our_client_their_server(V0_4).await;
    }

    async fn node_0_2_server_our_client_converses() {
        our_client_their_server(V0_2).await;
    }

    async fn node_0_4_server_our_client_closes_under_load_survives() {
        our_client_closes_under_load(V0_4).await;
    }

    async fn node_0_2_server_our_client_closes_under_load_survives() {
        our_client_closes_under_load(V0_2).await;
    }

    async fn node_0_4_client_our_server_closes_under_load_reconnects() {
        our_server_closes_under_load(V0_4).await;
    }

    async fn node_0_2_client_our_server_closes_under_load_reconnects() {
        our_server_closes_under_load(V0_2).await;
    }
}
