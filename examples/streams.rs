//! Streams: a server lists a table of rows to a fast reader and to a slow one, which share one connection. The slow one
//! costs its window, and delays nobody. It ends by itself.
//!
//! ```text
//! cargo run --example streams
//! ```

use std::error::Error;
use std::time::Instant;

use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, RequestError, Server, Topic, handlers};

/// How many rows the table has.
const ROWS: u64 = 100_000;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "list", stream = Row, error = ListError)]
struct List {
    table: String,
    reader: String,
}

/// The items travel under the topic of the request: they need none of their own.
#[derive(Serialize, Deserialize)]
struct Row {
    number: u64,
    price: u64,
}

/// Arrives at the client as the type that it is.
#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
enum ListError {
    #[error("there is no table {table}")]
    NoSuchTable { table: String },
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "ping", reply = ())]
struct Ping;

/// The handlers of the server.
struct Tables;

#[handlers]
impl Tables {
    fn list(&self, list: List) -> impl Stream<Item = Result<Row, ListError>> {
        rows(list)
    }

    fn ping(&self, _: Ping) {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("streams.sock");
    let server = Server::new(&path);
    server.attach(Tables)?;
    server.listen().await?;

    let client = Client::new(&path);
    client.connect().await?;
    let list = |table: &str, reader: &str| List { table: table.to_owned(), reader: reader.to_owned() };

    // A small window, so that one sees what it does: a row takes 64 bytes of it, or its length if that is more.
    let mut slow = client.request_stream(&list("prices", "slow")).window(64 * 1024);
    let first = slow.next().await.ok_or("no rows")??;
    println!("client: the slow reader has row {}, and reads no further for now", first.number);

    // Over the same connection.
    let start_time = Instant::now();
    let mut fast = client.request_stream(&list("prices", "fast"));
    let mut sum = 0;
    while let Some(row) = fast.next().await {
        sum += row?.price;
    }
    println!("client: the fast reader has all {ROWS} rows, whose prices add up to {sum}");
    client.request(&Ping).await?;
    println!("client: and a reply to a request, all within {:?}", start_time.elapsed());

    // The slow reader goes on. The server makes further rows as the window opens again, half a window at a time.
    for _ in 1..2_000 {
        slow.next().await.ok_or("no rows")??;
    }
    println!("client: the slow reader has 2000 rows, and has seen enough");
    drop(slow); // the server drops its stream, and has made few rows that nobody reads

    match client.request_stream(&list("weights", "third")).next().await {
        Some(Err(RequestError::Failed { error: ListError::NoSuchTable { table }, .. })) => {
            println!("client: the server has no table {table}");
        }
        other => return Err(format!("unexpected: {:?}", other.map(|row| row.map(|row| row.number))).into()),
    }
    client.close().await;
    server.close().await;
    Ok(())
}

/// The responder's stream. It is polled only while its reader takes rows.
fn rows(List { table, reader }: List) -> impl Stream<Item = Result<Row, ListError>> {
    if table != "prices" {
        return stream::once(async { Err(ListError::NoSuchTable { table }) }).left_stream();
    }
    let mut made = Made { reader, rows: 0 };
    stream::iter((0..ROWS).map(move |number| Ok(made.row(number)))).right_stream()
}

/// Part of the stream of a reader, and dropped with it: at its end, or as soon as its reader has dropped its own.
struct Made {
    reader: String,
    rows: u64,
}

impl Made {
    fn row(&mut self, number: u64) -> Row {
        self.rows += 1;
        Row { number, price: number % 100 }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        println!("server: the stream of the {} reader has ended after {} rows", self.reader, self.rows);
    }
}
