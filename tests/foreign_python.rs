//! Plain Python, a socket and JSON, on the default wire: as client of our server and as server of our client.

use socket_ipc::Wire;
use support::foreign::{Role, a_few_words, everything, exchange, python, report, skip};
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
    ours.meet().await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &everything()).await;

    theirs.command("untopical").await;
    let error_reply = ours.refuse().await;
    assert!(error_reply.contains("topic"), "{error_reply}");
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    theirs.close().await;
    ours.part().await;
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
    let mut exchanged = exchange(&mut ours, &mut theirs, &everything()).await;

    theirs.command("untopical").await;
    let error_reply = ours.refuse().await;
    assert!(error_reply.contains("topic"), "{error_reply}");

    // The server is killed, and another one comes.
    theirs.kill().await;
    ours.expect("disconnect").await;
    let mut theirs = python(Role::Server, &path).await.unwrap();
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    ours.expect("reconnect").await;
    theirs.expect("connection").await;
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    ours.close().await;
    theirs.expect("connectionClose").await;
    theirs.close().await;
    report(test, &theirs, exchanged);
    theirs.end().await;
}

both_flavours! {
    async fn client_of_our_server() {
        their_client_our_server().await;
    }

    async fn server_of_our_client() {
        our_client_their_server().await;
    }
}
