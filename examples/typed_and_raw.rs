//! Every kind of listener on one server: typed, raw of one topic, raw of all topics, and listeners of events. It ends by
//! itself.
//!
//! ```text
//! cargo run --example typed_and_raw
//! ```
//!
//! A client orders food. It shows the order in which the listeners of a message are called, a message that does not fit
//! the type of its topic, and a message without a listener for its topic.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, Server, Topic};
use tokio::sync::Notify;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "order"]
struct Order<'m> {
    /// Borrowed from the received bytes, and copied only if it contains an escape, such as `\"`.
    #[serde(borrow)]
    dish: Cow<'m, str>,
    count: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("restaurant.sock");
    let server = Server::new(&path);

    // Raw, all topics: called before the listeners of the message's topic.
    let every_message = server
        .on_message(|message, topic, client_id| println!("every message: {client_id} [{topic}] {message}"));

    // Typed: a message that does not decode as an `Order` is a message error, and this listener is not called.
    server
        .on::<Order>(|order, client_id| println!("typed: {client_id} orders {} {}", order.count, order.dish));
    // A topic may have several listeners. They are called in the order in which they were attached.
    server.on::<Order>(|order, _client_id| {
        if order.count > 10 {
            println!("typed, too: {} {} will take a while", order.count, order.dish);
        }
    });
    // Asynchronous: awaited before the next listener is called and before the next message of this client is dispatched.
    server.on_async::<Bill>(|bill, client_id| async move {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        println!("asynchronous: {client_id} pays {}", bill.amount);
    });

    // Raw, one topic, which may be known only at run time. The listener decodes the message itself.
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
    client.send_raw("order", &"the same again")?; // not an `Order`: a message error; the connection stays open
    client.send_raw("chat", &serde_json::json!({ "text": "nice place" }))?; // only the listener of all topics is called
    client.send(&Bill { amount: 42 })?;
    client.close().await; // writes the queued messages first
    left.notified().await;

    // `off` removes a listener. From here on no listener gets every message.
    assert!(server.off(every_message));
    server.close().await;
    Ok(())
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "bill"]
struct Bill {
    amount: u32,
}
