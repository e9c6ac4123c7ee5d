//! A bare echo on tokio: 79 bytes and a newline, one task at each end, no JSON. It shows what the runtime itself
//! allows.

use std::path::Path;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::{Done, Endpoint};
use crate::work::{Outcome, say_ready};

pub async fn play(endpoint: Endpoint, count: u64, path: &Path) -> Done {
    // Runs in a task, as in a program: on the threads of the runtime.
    match endpoint {
        Endpoint::Server => {
            let listener = UnixListener::bind(path)?;
            say_ready();
            tokio::spawn(echo(listener.accept().await?.0)).await?
        }
        Endpoint::Client => tokio::spawn(ping(UnixStream::connect(path).await?, count)).await?,
    }
}

async fn echo(mut stream: UnixStream) -> Done {
    let mut line = [0; 80];
    // Until the client goes.
    while stream.read_exact(&mut line).await.is_ok() {
        stream.write_all(&line).await?;
    }
    std::future::pending().await
}

async fn ping(mut stream: UnixStream, count: u64) -> Done {
    let (mut line, mut sum, mut trips) = ([b'x'; 80], 0, Vec::with_capacity(count as usize));
    let begun = Instant::now();
    for id in 0..count {
        let sent = Instant::now();
        stream.write_all(&line).await?;
        stream.read_exact(&mut line).await?;
        // The id that the line would have held.
        sum += id;
        trips.push(sent.elapsed());
    }
    Outcome::of_round_trips(begun, sum, trips).say();
    std::future::pending().await
}
