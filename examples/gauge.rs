//! A gauge and its viewers: a slow viewer skips readings, always ends with the last one, and delays nobody.
//!
//! ```text
//! cargo run --example gauge
//! ```
//!
//! Only the latest reading matters to a viewer, so the server sends it by `broadcast_latest`. A viewer that keeps up gets
//! every reading. One that is behind keeps a single reading beside its queue, which the next one replaces.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ConnectError, Server, Topic};
use tokio::sync::mpsc;

const READINGS: u64 = 500;

/// A reading, with the curve that a viewer draws.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "reading"]
struct Reading {
    number: u64,
    curve: String,
}

/// A client that draws each reading that it gets, for which it needs a while.
struct Viewer {
    client: Client,
    drawn: mpsc::UnboundedReceiver<u64>,
}

impl Viewer {
    async fn connect(path: &Path, needs: Duration) -> Result<Self, ConnectError> {
        let (client, (report, drawn)) = (Client::new(path), mpsc::unbounded_channel());
        // The next reading is read once this one is drawn; the library reads at most 1 MiB ahead.
        client.on_async::<Reading>(move |reading| {
            let report = report.clone();
            async move {
                tokio::time::sleep(needs).await;
                let _ = report.send(reading.number);
            }
        });
        client.connect().await?;
        Ok(Self { client, drawn })
    }

    /// How many readings were drawn, and the number of the last one. It waits for the last one of the gauge.
    async fn finish(mut self) -> (usize, u64) {
        let (mut count, mut last) = (0, 0);
        while last < READINGS {
            let Some(number) = self.drawn.recv().await else { break };
            (count, last) = (count + 1, number);
        }
        self.client.close().await;
        (count, last)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("gauge.sock");
    let server = Server::new(&path);
    let mut connected = server.connection_events();
    server.listen().await?;
    let fast = Viewer::connect(&path, Duration::ZERO).await?;
    let slow = Viewer::connect(&path, Duration::from_millis(20)).await?;
    // A broadcast reaches a client from when the server has noticed it.
    for _ in 0..2 {
        connected.next().await;
    }

    let (mut queued, mut skipped) = (0, 0);
    for number in 1..=READINGS {
        let reading = Reading { number, curve: "_.-^-.".repeat(10_000) };
        let delivery = server.broadcast_latest(&reading)?;
        queued += delivery.queued;
        skipped += delivery.replaced;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "the gauge: {READINGS} readings to 2 viewers, {queued} queued at once, {skipped} replaced by later ones"
    );
    for (name, viewer) in [("fast", fast), ("slow", slow)] {
        let (count, last) = viewer.finish().await;
        println!("the {name} viewer ends with reading {last}, and has drawn {count}");
    }
    server.close().await;
    if skipped == 0 {
        return Err("the slow viewer has kept up, so no reading was replaced".into());
    }
    Ok(())
}
