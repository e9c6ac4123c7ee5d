//! Streams of numbers that never end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use futures::stream;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ReplyStream, Server, Topic};

use super::{Result, say};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = u64)]
struct Numbers;

/// How many streams have begun and were dropped.
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
        server.respond_stream::<Numbers>(move |_, _| {
            counts.begun.fetch_add(1, Ordering::SeqCst);
            let guard = Guard(Arc::clone(&counts.dropped));
            stream::iter(0_u64..).map(move |number| {
                let _ = &guard;
                number
            })
        })?;
        Ok(())
    }

    pub(super) fn say(&self) {
        let [begun, dropped] = [&self.begun, &self.dropped].map(|count| count.load(Ordering::SeqCst));
        say(format_args!("streams {begun} {dropped}"));
    }
}

/// Requests streams, and waits until they have begun. Nobody reads them.
pub(super) async fn request(client: &Client, count: usize) -> Result<Vec<ReplyStream<u64>>> {
    let mut streams: Vec<_> = (0..count).map(|_| client.request_stream(&Numbers).window(4096)).collect();
    for items in &mut streams {
        items.started().await?;
    }
    say(format_args!("streaming {count}"));
    Ok(streams)
}
