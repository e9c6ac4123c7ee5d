//! Every kind of listener on one server: typed, raw by topic, catch-all, and those of events. It ends by
//! itself.
//!
//! ```text
//! cargo run --example typed_and_raw
//! ```
//!
//! A client orders food. Watch in which order the listeners of a message are called, what becomes of a
//! message that is not what its topic promises, and of one without a listener of its own.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use tokio::sync::Notify;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "order"]
struct Order<'m> {
    /// Borrowed from the bytes the message arrived in: copied only where it holds an escape, such as that of a quote.
    #[serde(borrow)]
    dish: Cow<'m, str>,
    count: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("restaurant.sock");
    let server = Server::new(&path);

    // Raw, every topic: called before the listeners of the topic.
    let every_message = server
        .on_message(|message, topic, client_id| println!("every message: {client_id} [{topic}] {message}"));

    // Typed: what is not an `Order` never gets here.
    server
        .on::<Order>(|order, client_id| println!("typed: {client_id} orders {} {}", order.count, order.dish));
    // Any number of listeners a topic, called in the order they were attached.
    server.on::<Order>(|order, _client_id| {
        if order.count > 10 {
            println!("typed, too: {} {} will take a while", order.count, order.dish);
        }
    });
    // Asynchronous: awaited before the next listener is called and the next message of this client is heard.
    server.on_async::<Bill>(|bill, client_id| async move {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        println!("asynchronous: {client_id} pays {}", bill.amount);
    });

    // Raw, one topic, which need not be known before the program runs. Decoding is up to the listener.
    let topic = String::from("desserts");
    server.on_topic(&topic, |message, client_id| match message.decode::<Vec<String>>() {
        Ok(desserts) => println!("raw: {client_id} likes {}", desserts.join(" and ")),
        Err(error) => println!("raw: {client_id} likes something else: {error}"),
    });

    // Events.
    server.on_listening(|| println!("event: listening"));
    server.on_connection(|client_id| println!("event: {client_id} connected"));
    server.on_message_error(|error, client_id| println!("event: {client_id} sent {error}"));
    let left = Arc::new(Notify::new());
    let leaving = Arc::clone(&left);
    server.on_connection_close(move |client_id, reason| {
        println!("event: {client_id} is gone: {reason}");
        leaving.notify_one();
    });
    server.on_close(|| println!("event: closed"));
    server.listen().await?;

    let client = Client::new(&path);
    client.connect().await?;
    client.send(&Order { dish: "dumplings".into(), count: 12 })?;
    client.send_raw("desserts", &["ice cream", "cake"])?;
    client.send_raw("order", &"the same again")?; // not an `Order`: reported, and the connection lives
    client.send_raw("chat", &serde_json::json!({ "text": "nice place" }))?; // only the catch-all hears it
    client.send(&Bill { amount: 42 })?;
    client.close().await; // what is queued is written first
    left.notified().await;

    // A listener goes when it is told to. From here on nothing hears every message.
    assert!(server.off(every_message));
    server.close().await;
    Ok(())
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "bill"]
struct Bill {
    amount: u32,
}
