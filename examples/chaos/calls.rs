//! The requests and streams of a client. Each ends: with a reply, whole, or with an error by name.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use socket_ipc::cluster::ClientRef;
use socket_ipc::{ClientHandle, ErrorReply, ReplyFuture, ReplyStream, RequestError};
use tokio::sync::watch;
use tokio::time::timeout;

use super::errors::name_of;
use super::responders::{IN_TIME, reply_to, text};
use super::tally::Tally;
use super::topics::{Far, FarItems, Item, Near, NearItems, Reach, Reached};

/// The library's own deadline is `IN_TIME`; one that misses that breaks another promise.
const AT_ALL: Duration = Duration::from_secs(25);

pub struct Caller {
    pub client: ClientHandle,
    /// The client itself ends what it waits for.
    pub is_restless: bool,
    /// Whether the own node responds to `far`, and forwards `near`.
    pub is_far: bool,
    pub rng: Rng,
    pub tally: Arc<Tally>,
    pub going: watch::Receiver<bool>,
}

impl Caller {
    /// Waits for a while. `false`: it is over.
    async fn pause(&mut self, longest: u64) -> bool {
        let longest = if self.client.is_connected() { longest } else { 200 };
        tokio::time::sleep(Duration::from_millis(self.rng.u64(1..longest * super::PAUSES))).await;
        // A client that is closed begins nothing.
        *self.going.borrow() && tokio::time::timeout(Duration::ZERO, self.client.closing()).await.is_err()
    }

    /// An error ended what had begun in an epoch. Those that no fault explains break a promise.
    fn failed(&self, what: &str, error: &RequestError, begun: u64) {
        if self.tally.is_calm_since(begun) && !self.is_restless {
            return self.tally.broke(format!("{what} failed without any fault: {error:?}"));
        }
        match name_of(error) {
            Ok(name) => self.tally.add(&format!("{what} failed: {name}"), 1),
            Err(error) => self.tally.broke(format!("{what} failed: {error}")),
        }
    }

    pub async fn request(mut self) {
        while self.pause(150).await {
            let (number, millis) = (self.rng.u64(..), self.rng.u64(..60));
            let begun = self.tally.epoch();
            // Of its own node's responders now and then, of another node's nearly always.
            let near = self.is_far != (self.rng.u8(..8) == 0);
            let reply: ReplyFuture<u64, ErrorReply> = match near {
                true => self.client.request(&Near { number, millis }),
                false => self.client.request(&Far { number, millis }),
            };
            if self.rng.u8(..16) == 0 {
                let _ = timeout(Duration::from_millis(self.rng.u64(..40)), reply).await;
                self.tally.add("requests cancelled", 1);
                continue;
            }
            match timeout(AT_ALL, reply.timeout(IN_TIME)).await {
                Err(_) => self.tally.broke(format!("a request did not end within {AT_ALL:?}")),
                Ok(Ok(reply)) if reply == reply_to(number) => self.tally.add("requests replied to", 1),
                Ok(Ok(_)) => self.tally.broke("a request got the reply to another one".to_owned()),
                Ok(Err(error)) => self.failed("requests", &error, begun),
            }
        }
    }

    pub async fn read_streams(mut self) {
        while self.pause(500).await {
            let (count, millis) = match self.rng.u8(..4) {
                0 => (self.rng.u64(..5_000), 0),
                _ => (self.rng.u64(..100), self.rng.u64(..30)),
            };
            let near = self.is_far != (self.rng.u8(..8) == 0);
            let begun = self.tally.epoch();
            let stream: ReplyStream<Item, ErrorReply> = match near {
                true => self.client.request_stream(&NearItems { count, millis }),
                false => self.client.request_stream(&FarItems { count, millis }),
            };
            let dropped_at = (self.rng.u8(..8) == 0).then(|| self.rng.u64(..=count));
            let stream = stream.timeout(IN_TIME);
            let stream = if self.rng.bool() { stream.idle_timeout(IN_TIME) } else { stream };
            self.read(stream, count, dropped_at, begun).await;
        }
    }

    async fn read(
        &self,
        mut stream: ReplyStream<Item, ErrorReply>,
        count: u64,
        dropped_at: Option<u64>,
        begun: u64,
    ) {
        let mut next = 0;
        loop {
            if dropped_at == Some(next) {
                return self.tally.add("streams dropped", 1);
            }
            let item = match timeout(AT_ALL, stream.next()).await {
                Err(_) => return self.tally.broke(format!("a stream did not end within {AT_ALL:?}")),
                Ok(item) => item,
            };
            match item {
                Some(Ok(item)) if item.number == next && item.text == text(next) => next += 1,
                Some(Ok(item)) => {
                    return self.tally.broke(format!("item {} came, and {next} was due", item.number));
                }
                Some(Err(error)) => return self.failed("streams", &error, begun),
                None if next == count => {
                    self.tally.add("items of streams that ended whole", count);
                    return self.tally.add("streams that ended whole", 1);
                }
                None => return self.tally.broke(format!("a stream ended after {next} of {count} items")),
            }
        }
    }

    /// Has the node request something of the clients that the news name.
    pub async fn reach(mut self, known: Arc<Mutex<Vec<ClientRef>>>) {
        while self.pause(300).await {
            let client = known.lock().ok().and_then(|known| self.rng.choice(known.iter().cloned()));
            let Some(client) = client else { continue };
            let items = self.rng.bool().then(|| self.rng.u64(..300));
            let reach = Reach { client, number: self.rng.u64(..), items };
            let begun = self.tally.epoch();
            // The node itself waits for `IN_TIME`.
            let reply = self.client.request(&reach).timeout(AT_ALL + AT_ALL);
            match reply.await {
                Ok(Reached::Replied) => {
                    self.tally.add("requests of a client of another node replied to", 1);
                }
                Ok(Reached::Items(count)) => {
                    self.tally.add("items of streams of a client of another node", count);
                    self.tally.add("streams of a client of another node that ended whole", 1);
                }
                Ok(Reached::Failed(name)) => {
                    self.tally.add(&format!("requests of a client failed: {name}"), 1)
                }
                Ok(Reached::Broken(what)) => self.tally.broke(format!("a request of a client: {what}")),
                Err(error) => self.failed("requests that a node requests of a client", &error, begun),
            }
        }
    }
}
