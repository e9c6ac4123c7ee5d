//! Plain Python, a socket and JSON, on the default wire: as client of our server and as server of our client.

use socket_ipc::Wire;
use support::foreign::{Role, a_few_words, everything, exchange, python, report, skip};
use support::on_both_runtimes;
use support::ours::{OurClient, OurServer};

async fn their_client_our_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut ours = OurServer::listen(&path, Wire::JSON_LINES).await;
    let mut theirs = match python(Role::Client, &path).await {
        Ok(theirs) => theirs,
        Err(why) => return skip(&why),
    };
    theirs.expect("connect").await;
    ours.meet().await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &everything()).await;

    theirs.command("untopical").await;
    let refusal = ours.refuse().await;
    assert!(refusal.contains("topic"), "{refusal}");
    exchanged += exchange(&mut ours, &mut theirs, &a_few_words()).await;

    theirs.close().await;
    ours.part().await;
    theirs.expect("disconnect").await;
    ours.close().await;
    report(theirs.name(), exchanged);
    theirs.end().await;
}

async fn our_client_their_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut ours = OurClient::new(&path, Wire::JSON_LINES);
    ours.connect();
    ours.expect("connectError").await;
    let mut theirs = match python(Role::Server, &path).await {
        Ok(theirs) => theirs,
        Err(why) => return skip(&why),
    };
    theirs.expect("listening").await;
    ours.expect_after("connectError", "connect").await;
    theirs.expect("connection").await;
    let mut exchanged = exchange(&mut ours, &mut theirs, &everything()).await;

    theirs.command("untopical").await;
    let refusal = ours.refuse().await;
    assert!(refusal.contains("topic"), "{refusal}");

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
    report(theirs.name(), exchanged);
    theirs.end().await;
}

on_both_runtimes!(client_of_our_server, their_client_our_server());
on_both_runtimes!(server_of_our_client, our_client_their_server());
