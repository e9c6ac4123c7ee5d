//! tarpc over its JSON transport: every message is a call, and many calls are in flight at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Json;
use tarpc::{client, context, serde_transport::unix};

use super::{Done, Endpoint};
use crate::work::{Outcome, Small, Text, Work, say_ready};

/// The number of calls that a client has in flight at once.
const CALLS: usize = 512;

#[tarpc::service]
trait Bench {
    async fn small(message: Small);
    async fn text(message: Text);
    async fn echo(message: Small) -> Small;
    async fn sum() -> u64;
}

#[derive(Clone, Default)]
struct Adding(Arc<AtomicU64>);

impl Bench for Adding {
    async fn small(self, _: Context, message: Small) {
        self.0.fetch_add(message.adds(), Relaxed);
    }

    async fn text(self, _: Context, message: Text) {
        self.0.fetch_add(message.adds(), Relaxed);
    }

    async fn echo(self, _: Context, message: Small) -> Small {
        message
    }

    async fn sum(self, _: Context) -> u64 {
        self.0.load(Relaxed)
    }
}

pub async fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
    match endpoint {
        Endpoint::Server => serve(path).await,
        Endpoint::Client => client(work, count, path).await,
    }
}

async fn serve(path: &Path) -> Done {
    let adding = Adding::default();
    let mut listener = unix::listen(path, Json::default).await?;
    listener.config_mut().max_frame_length(16 * 1024 * 1024);
    say_ready();
    while let Some(transport) = listener.next().await {
        let channel = BaseChannel::with_defaults(transport?);
        tokio::spawn(channel.execute(adding.clone().serve()).for_each_concurrent(CALLS, |call| call));
    }
    Ok(())
}

/// A context with a deadline that no call reaches.
fn patient() -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + Duration::from_secs(600);
    context
}

async fn client(work: Work, count: u64, path: &Path) -> Done {
    let mut clients = Vec::new();
    for _ in 0..work.clients() {
        let mut connecting = unix::connect(path, Json::default);
        connecting.config_mut().max_frame_length(16 * 1024 * 1024);
        let mut config = client::Config::default();
        config.max_in_flight_requests = CALLS;
        config.pending_request_buffer = CALLS;
        clients.push(BenchClient::new(config, connecting.await?).spawn());
    }
    let start = Instant::now();
    if work == Work::W2 {
        let (mut sum, mut trips) = (0, Vec::with_capacity(count as usize));
        for id in 0..count {
            let sent = Instant::now();
            sum += clients[0].echo(patient(), Small::new(id)).await?.adds();
            trips.push(sent.elapsed());
        }
        Outcome::of_round_trips(start, sum, trips).say();
        return Ok(());
    }
    let text = work.text_len().map(Text::new);
    let sending = clients.iter().cloned().map(|client| {
        let text = text.clone();
        tokio::spawn(async move {
            let calls = futures::stream::iter(0..count).map(|id| {
                let (client, text) = (&client, text.clone());
                async move {
                    match text {
                        Some(text) => client.text(patient(), Text { id, ..text }).await,
                        None => client.small(patient(), Small::new(id)).await,
                    }
                }
            });
            calls.buffer_unordered(CALLS).try_collect::<()>().await
        })
    });
    for sent in futures::future::join_all(sending).await {
        sent??;
    }
    let sum = clients[0].sum(patient()).await?;
    Outcome::since(start, sum).say();
    Ok(())
}
