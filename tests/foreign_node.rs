//! The published Node library, unchanged, as client of our server and as server of our client.

use socket_ipc::Wire;
use support::foreign::{Node, Role, Said, Speaks, a_few_words, everything, exchange, report, skip};
use support::ours::{OurClient, OurServer};
use support::{Place, both_flavours};

/// A version of the Node library, and the wire that it speaks.
struct Version {
    node: Node,
    number: &'static str,
    wire: Wire,
    place: Place,
}

const V0_4: (&str, Wire) = ("0.4.0", Wire::NODE_0_4);
const V0_2: (&str, Wire) = ("0.2.0", Wire::NODE_0_2);

/// `None`: it is not to be had here, and that has been said.
async fn version(test: &str, (number, wire): (&'static str, Wire)) -> Option<Version> {
    match Node::install(env!("CARGO_TARGET_TMPDIR")).await {
        Ok(node) => Some(Version { node, number, wire, place: Place::new() }),
        Err(why) => {
            skip(test, &why);
            None
        }
    }
}

/// What their client says when it is closed: 0.2 called the event `closed`, which 0.4 still has beside
/// `close`.
fn client_closed(number: &str) -> &'static [&'static str] {
    if number == "0.2.0" { &["closed"] } else { &["closed", "close"] }
}

/// What their server says when it is closed while no client is connected.
fn server_closed(number: &str) -> &'static [&'static str] {
    if number == "0.2.0" { &["close"] } else { &["closed", "close"] }
}

/// What their server says when it is closed while a client is connected.
fn server_closed_with_client(number: &str) -> &'static [&'static str] {
    if number == "0.2.0" { &["close", "connectionClose"] } else { &["closed", "close", "connectionClose"] }
}

async fn their_client_our_server(which: (&'static str, Wire)) {
    let test = "a Node client of our server";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();

    // The client is there before the server.
    let mut theirs = node.start(number, Role::Client, &path).await;
    theirs.expect("connectError").await;
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    ours.meet().await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &everything()).await;

    // An envelope without a topic: to Node a message under `undefined`, to us not a message at all.
    theirs.command("untopical").await;
    let error_reply = ours.refuse().await;
    assert!(error_reply.contains("topic"), "{error_reply}");
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    // The server restarts: closed properly once, and once just gone.
    ours.close().await;
    theirs.expect("disconnect").await;
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    theirs.expect("reconnect").await;
    ours.meet().await;
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    drop(ours);
    theirs.expect("disconnect").await;
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    theirs.expect("reconnect").await;
    ours.meet().await;
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    theirs.close().await;
    theirs.expect_all(client_closed(number)).await;
    ours.part().await;
    ours.close().await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

async fn our_client_their_server(which: (&'static str, Wire)) {
    let test = "a Node server of our client";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();

    // The client is there before the server.
    let mut ours = OurClient::new(&path, wire);
    ours.connect();
    ours.expect("connectError").await;
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    theirs.expect("connection").await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &everything()).await;

    theirs.command("untopical").await;
    let error_reply = ours.refuse().await;
    assert!(error_reply.contains("topic"), "{error_reply}");
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    // The server restarts. It is closed only once our end is: that we let go when they do is part of it.
    theirs.close().await;
    theirs.expect_all(server_closed_with_client(number)).await;
    theirs.end().await;
    ours.expect("disconnect").await;
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    ours.expect("reconnect").await;
    theirs.expect("connection").await;
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    // It is killed, and leaves its socket file behind.
    theirs.kill().await;
    ours.expect("disconnect").await;
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    ours.expect("reconnect").await;
    theirs.expect("connection").await;
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    ours.close().await;
    theirs.expect("connectionClose").await;
    theirs.close().await;
    theirs.expect_all(server_closed(number)).await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

/// More than the sockets between them hold.
async fn flood(theirs: &mut impl Speaks) {
    for said in [Said::Big(4_000_000), Said::Count(0..5000), Said::Big(4_000_000), Said::Big(4_000_000)] {
        theirs.say(&said).await;
    }
}

/// A connection that is ended with something unread is reset, and a Node server that listens for no `error`
/// of its sockets, as its documentation doesn't ask it to, ends with an uncaught exception. So we hear it
/// out.
async fn our_client_leaves_amid_traffic(which: (&'static str, Wire)) {
    let test = "a Node server that our client leaves amid traffic";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();
    let mut theirs = node.start(number, Role::Server, &path).await;
    theirs.expect("listening").await;
    let mut ours = OurClient::new(&path, wire);
    ours.connect();
    ours.expect("connect").await;
    theirs.expect("connection").await;
    flood(&mut theirs).await;
    ours.hear().await;
    ours.close_amid_traffic().await;
    theirs.expect("connectionClose").await;

    // The server lives, and serves the next.
    let mut ours = OurClient::new(&path, wire);
    ours.connect();
    ours.expect("connect").await;
    theirs.expect("connection").await;
    let exchanged = exchange(&mut ours, &mut theirs, &a_few_words()).await;
    ours.close().await;
    report(test, &theirs, exchanged);
}

/// A Node client whose connection is reset has an `error`, which ends its process if nobody listens for it;
/// one whose server is closed has a `disconnect` and nothing else.
async fn our_server_closes_amid_traffic(which: (&'static str, Wire)) {
    let test = "a Node client that our server leaves amid traffic";
    let Some(Version { node, number, wire, place }) = version(test, which).await else { return };
    let path = place.socket();
    let mut ours = OurServer::listen(&path, wire).await;
    let mut theirs = node.start(number, Role::Client, &path).await;
    theirs.expect("connect").await;
    ours.meet().await;
    flood(&mut theirs).await;
    ours.hear().await;
    ours.close_amid_traffic().await;
    theirs.expect("disconnect").await;

    // The client comes back by itself.
    let mut ours = OurServer::listen(&path, wire).await;
    theirs.expect_after("connectError", "connect").await;
    theirs.expect("reconnect").await;
    ours.meet().await;
    let exchanged = exchange(&mut ours, &mut theirs, &a_few_words()).await;
    ours.close().await;
    report(test, &theirs, exchanged);
}

both_flavours! {
    async fn client_0_4_of_our_server() {
        their_client_our_server(V0_4).await;
    }

    async fn client_0_2_of_our_server() {
        their_client_our_server(V0_2).await;
    }

    async fn server_0_4_of_our_client() {
        our_client_their_server(V0_4).await;
    }

    async fn server_0_2_of_our_client() {
        our_client_their_server(V0_2).await;
    }

    async fn client_leaves_server_0_4_amid_traffic() {
        our_client_leaves_amid_traffic(V0_4).await;
    }

    async fn client_leaves_server_0_2_amid_traffic() {
        our_client_leaves_amid_traffic(V0_2).await;
    }

    async fn server_leaves_client_0_4_amid_traffic() {
        our_server_closes_amid_traffic(V0_4).await;
    }

    async fn server_leaves_client_0_2_amid_traffic() {
        our_server_closes_amid_traffic(V0_2).await;
    }
}
