//! Requests that never get a reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ReplyFuture, Server, Topic};

use super::{Result, say};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

/// How many responders have begun and were dropped.
#[derive(Clone, Default)]
pub(super) struct Counts {
    begun: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counts {
    pub(super) fn respond(&self, server: &Server) -> Result {
        let counts = self.clone();
        server.respond_async::<Wait>(move |_, _| {
            counts.begun.fetch_add(1, Ordering::SeqCst);
            let guard = Guard(Arc::clone(&counts.dropped));
            async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            }
        })?;
        Ok(())
    }

    pub(super) fn say(&self) {
        let [begun, dropped] = [&self.begun, &self.dropped].map(|count| count.load(Ordering::SeqCst));
        say(format_args!("waits {begun} {dropped}"));
    }
}

/// Makes the client respond to such requests, too: it never replies.
pub(super) fn respond(client: &Client) -> Result {
    client.respond_async::<Wait>(|_| std::future::pending::<()>())?;
    Ok(())
}

/// Sends requests that wait until they are dropped.
pub(super) async fn request(client: &Client, count: usize) -> Result<Vec<ReplyFuture<()>>> {
    let waiting = (0..count).map(|_| client.request(&Wait)).collect();
    client.flush().await?;
    say(format_args!("waiting {count}"));
    Ok(waiting)
}
