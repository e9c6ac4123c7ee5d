//! Plain Python with a socket and JSON, on the default wire: as client of our server and as server of our client.

use socket_ipc::Wire;
use support::foreign::{Role, all_batches, exchange, python, report, skip, some_batches};
use support::ours::{OurClient, OurServer};
use support::{Place, both_flavours};

async fn their_client_our_server() {
    let test = "a Python client of our server";
    let place = Place::new();
    let path = place.socket();
    let mut ours = OurServer::listen(&path, Wire::JSON_LINES).await;
    let mut theirs = match python(Role::Client, &path).await {
        Ok(theirs) => theirs,
        Err(why) => return skip(test, &why),
    };
    theirs.expect("connect").await;
    ours.accept_client().await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &all_batches()).await;

    theirs.command("untopical").await;
    let error = ours.message_error().await;
    assert!(error.contains("topic"), "{error}");
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    theirs.close().await;
    ours.expect_client_leaves().await;
    theirs.expect("disconnect").await;
    ours.close().await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

async fn our_client_their_server() {
    let test = "a Python server of our client";
    let place = Place::new();
    let path = place.socket();
    let mut ours = OurClient::new(&path, Wire::JSON_LINES);
    ours.connect();
    ours.expect("connectError").await;
    let mut theirs = match python(Role::Server, &path).await {
        Ok(theirs) => theirs,
        Err(why) => return skip(test, &why),
    };
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    theirs.expect("connection").await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &all_batches()).await;

    theirs.command("untopical").await;
    let error = ours.message_error().await;
    assert!(error.contains("topic"), "{error}");

    // The server is killed, and another one starts.
    theirs.kill().await;
    ours.expect("disconnect").await;
    let mut theirs = python(Role::Server, &path).await.unwrap();
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    ours.expect("reconnect").await;
    theirs.expect("connection").await;
    exchanged += exchange(&mut ours, &mut theirs, &some_batches()).await;

    ours.close().await;
    theirs.expect("connectionClose").await;
    theirs.close().await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

both_flavours! {
    async fn python_client_our_server_converses() {
        their_client_our_server().await;
    }

    async fn python_server_our_client_converses() {
        our_client_their_server().await;
    }
}
