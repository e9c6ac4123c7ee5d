//! Connections and messages in one order, as one bounded stream.

mod client;
mod server;

use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use socket_ipc::limits::SUBSCRIPTION_LEN;
use socket_ipc::{
    Client, ClientEvent, ConnectError, Error, Server, ServerEvent, Subscription, Topic, TopicSet,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "number"]
struct Number(usize);

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "word"]
struct Word(String);

#[derive(TopicSet, Debug)]
enum Both {
    Number(Number),
    Word(Word),
}

const SHORT: Duration = Duration::from_millis(20);

fn message(message: &Both) -> String {
    match message {
        Both::Number(Number(number)) => number.to_string(),
        Both::Word(Word(word)) => word.clone(),
    }
}

/// The next events as text.
async fn next<E>(events: &mut Subscription<E>, to_text: fn(E) -> String, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.push(to_text(soon("an event", events.next()).await.expect("the end instead of an event")));
    }
    texts
}

/// The events up to the end of the stream, as text.
async fn rest<E>(events: Subscription<E>, to_text: fn(E) -> String) -> Vec<String> {
    soon("the end", events.map(to_text).collect()).await
}

fn numbers(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("{{\"topic\":\"number\",\"message\":{number}}}\n")).collect()
}

fn word(word: &str) -> String {
    format!("{{\"topic\":\"word\",\"message\":\"{word}\"}}\n")
}

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}
