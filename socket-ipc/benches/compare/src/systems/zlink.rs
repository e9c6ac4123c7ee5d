//! zlink, which speaks Varlink: calls without a reply, pipelined in batches, and a last call with a reply.

use std::path::Path;
use std::time::Instant;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use zlink::{ReplyError, Server, introspect, proxy, service, tokio::unix};

use super::{Done, Endpoint};
use crate::work::{Outcome, Small, Text, Work, say_ready};

/// How many calls are written at once.
const BATCH: u64 = 100;

#[derive(Debug, Serialize, Deserialize, introspect::Type)]
struct Sum {
    sum: u64,
}

#[derive(Debug, Serialize, Deserialize, introspect::Type)]
struct Echo {
    id: u64,
    name: String,
    value: f64,
}

#[derive(Debug, PartialEq, ReplyError, introspect::ReplyError)]
#[zlink(interface = "org.example.Bench")]
enum BenchError {
    Never,
}

#[derive(Default)]
struct Bench {
    sum: u64,
}

#[service(interface = "org.example.Bench")]
impl Bench {
    async fn small(&mut self, id: u64, name: String, value: f64) {
        self.sum += Small { id, name, value }.adds();
    }

    async fn text(&mut self, id: u64, text: String) {
        self.sum += Text { id, text }.adds();
    }

    async fn echo(&self, id: u64, name: String, value: f64) -> Echo {
        Echo { id, name, value }
    }

    async fn sum(&self) -> Sum {
        Sum { sum: self.sum }
    }
}

#[proxy("org.example.Bench")]
trait BenchProxy {
    #[zlink(oneway)]
    async fn small(&mut self, id: u64, name: &str, value: f64) -> zlink::Result<()>;
    #[zlink(oneway)]
    async fn text(&mut self, id: u64, text: &str) -> zlink::Result<()>;
    async fn echo(&mut self, id: u64, name: &str, value: f64) -> zlink::Result<Result<Echo, BenchError>>;
    async fn sum(&mut self) -> zlink::Result<Result<Sum, BenchError>>;
}

pub async fn play(endpoint: Endpoint, work: Work, count: u64, path: &Path) -> Done {
    match endpoint {
        Endpoint::Server => {
            let server = Server::new(unix::bind(path)?, Bench::default());
            say_ready();
            Ok(server.run().await?)
        }
        Endpoint::Client => client(work, count, path).await,
    }
}

async fn client(work: Work, count: u64, path: &Path) -> Done {
    let mut clients = Vec::new();
    for _ in 0..work.clients() {
        clients.push(unix::connect(path).await?);
    }
    let start = Instant::now();
    if work == Work::W2 {
        let (mut sum, mut trips) = (0, Vec::with_capacity(count as usize));
        for id in 0..count {
            let (sent, Small { id, name, value }) = (Instant::now(), Small::new(id));
            let echo = clients[0].echo(id, &name, value).await?.map_err(|_| "no echo")?;
            sum += Small { id: echo.id, name: echo.name, value: echo.value }.adds();
            trips.push(sent.elapsed());
        }
        Outcome::of_round_trips(start, sum, trips).say();
        return Ok(());
    }
    let text = work.text_len().map(Text::new);
    for from in (0..count).step_by(BATCH as usize) {
        for client in &mut clients {
            let until = count.min(from + BATCH);
            match &text {
                Some(text) => {
                    for id in from..until {
                        client.text(id, &text.text).await?;
                    }
                }
                None => {
                    let first = Small::new(from);
                    let mut chain = client.chain_small(first.id, &first.name, first.value)?;
                    for small in (from + 1..until).map(Small::new) {
                        chain = chain.small(small.id, &small.name, small.value)?;
                    }
                    let replies = chain.send::<(), BenchError>().await?;
                    std::pin::pin!(replies).next().await;
                }
            }
        }
    }
    // Replies of one connection come in order; calls of other connections may still be in flight.
    let sum = loop {
        let Sum { sum } = clients[0].sum().await?.map_err(|_| "no sum")?;
        if sum >= work.sum(count) {
            break sum;
        }
    };
    Outcome::since(start, sum).say();
    Ok(())
}
