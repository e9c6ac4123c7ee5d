//! What a shell has at hand, socat or nc and jq, on the default wire: as client of our server.

use socket_ipc::Wire;
use support::foreign::{a_few_words, everything, exchange, report, shell, skip};
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

both_flavours! {
    async fn client_of_our_server() {
        their_client_our_server().await;
    }
}
