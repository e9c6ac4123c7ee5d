//! A server that serves until a signal asks it to end.

use std::time::Duration;

use futures::stream;
use socket_ipc::{ErrorReply, Server, shutdown_signal};
use support::daemon::{BlockThread, Forever, Nap, Numbers, Watch};

use super::{Result, say};

/// Waits for a signal no more, and then runs for ever.
pub(super) async fn waits_for_no_signal() -> Result {
    drop(shutdown_signal());
    say("dropped");
    std::future::pending().await
}

pub(super) async fn serve(path: &str) -> Result {
    let server = Server::builder(path).drain(Duration::from_secs(2)).build();
    server.respond_async::<Nap>(|Nap(millis), _client_id| async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        millis
    })?;
    let handle = server.handle();
    server.respond_async::<Watch>(move |Watch, _client_id| {
        let handle = handle.clone();
        async move {
            handle.closing().await;
            Err(ErrorReply::new("over", "the server closes"))
        }
    })?;
    server.respond_async::<Forever>(|Forever, _client_id| std::future::pending::<u64>())?;
    server.respond_stream::<Numbers>(|Numbers, _client_id| stream::iter(0u64..))?;
    server.on::<BlockThread>(|BlockThread, _client_id| {
        say("blocked");
        loop {
            std::thread::park();
        }
    });
    server.on_listening(|| say("listening"));
    let signal = shutdown_signal();
    server
        .listen_until(async {
            signal.await;
            say("closing");
        })
        .await?;
    say("closed");
    Ok(())
}
