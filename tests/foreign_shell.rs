//! What a shell has at hand, socat or nc and jq, on the default wire: as client of our server.

use socket_ipc::Wire;
use support::foreign::{a_few_words, everything, exchange, report, shell, skip};
use support::on_both_runtimes;
use support::ours::OurServer;

async fn their_client_our_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut ours = OurServer::listen(&path, Wire::JSON_LINES).await;
    let mut theirs = match shell(&path).await {
        Ok(theirs) => theirs,
        Err(why) => return skip(&why),
    };
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

on_both_runtimes!(client_of_our_server, their_client_our_server());
