//! A shell with socat or nc, and jq, on the default wire: as client of our server.

use socket_ipc::Wire;
use support::foreign::{all_batches, exchange, report, shell, skip, some_batches};
use support::ours::OurServer;
use support::{Place, both_flavours};

async fn their_client_our_server() {
    let test = "a shell client of our server";
    let place = Place::new();
    let path = place.socket();
    let mut ours = OurServer::listen(&path, Wire::JSON_LINES).await;
    let mut theirs = match shell(&path).await {
        Ok(theirs) => theirs,
        Err(why) => return skip(test, &why),
    };
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

both_flavours! {
    async fn shell_client_our_server_converses() {
        their_client_our_server().await;
    }
}
