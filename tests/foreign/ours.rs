//! This library's ends of a conversation with a foreign peer: a server and a client that note all they hear.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use socket_ipc::{Client, ClientId, CloseCause, RawMessage, Server, Topic, Wire};

use super::foreign::{Heard, Said, Speaks, Tongue, big, text};
use super::{Events, soon};

/// A numbered message.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "count"]
struct Count {
    n: u32,
    text: String,
}

/// A long message, heard straight from the bytes it arrived in.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "big"]
struct Big<'m> {
    #[serde(borrow)]
    text: Cow<'m, str>,
}

/// A topic that comes without a message.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "missing"]
struct Missing;

/// What an end of ours has heard, by its raw catch-all and by its typed listeners.
struct Ears {
    raw: Events<Heard>,
    typed: Events<Heard>,
    refused: Events<String>,
    faults: Events<String>,
}

impl Ears {
    fn new() -> Self {
        Ears { raw: Events::new(), typed: Events::new(), refused: Events::new(), faults: Events::new() }
    }

    async fn hear(&mut self) -> Heard {
        let heard = self.raw.next().await;
        if [Count::NAME, Big::NAME, Missing::NAME].contains(&heard.topic.as_str()) {
            let typed = self.typed.next().await;
            assert!(typed == heard, "number {} was decoded to something else", heard.message["n"]);
        }
        heard
    }

    /// Nothing was heard that nobody asked for.
    fn assert_empty(&mut self) {
        let more = [self.raw.rest(), self.typed.rest()].concat();
        assert!(more.is_empty(), "{} more messages than were said", more.len());
        assert_eq!(self.refused.rest(), [""; 0]);
        self.assert_sound();
    }

    fn assert_sound(&mut self) {
        assert_eq!(self.faults.rest(), [""; 0]);
    }
}

fn heard(topic: &str, message: &RawMessage<'_>) -> Heard {
    Heard::new(topic, message.to_value().expect("what the peers say has a value"))
}

fn decoded<T: Topic + Serialize>(message: &T) -> Heard {
    Heard::new(T::NAME, json!(message))
}

/// Our server, with one client at a time to talk to.
pub struct OurServer {
    server: Server,
    ears: Ears,
    connected: Events<ClientId>,
    parted: Events<(ClientId, CloseCause)>,
    client: Option<ClientId>,
}

impl OurServer {
    /// Starts a server that speaks `wire`.
    pub async fn listen(path: &Path, wire: Wire) -> Self {
        let server = Server::builder(path).wire(wire).build();
        let ears = Ears::new();
        let tell = ears.raw.reporter();
        server.on_message(move |message, topic, _| tell(heard(topic, &message)));
        let tell = ears.typed.reporter();
        server.on::<Count>(move |message, _| tell(decoded(&message)));
        let tell = ears.typed.reporter();
        server.on::<Big<'_>>(move |message, _| tell(decoded(&message)));
        let tell = ears.typed.reporter();
        server.on::<Missing>(move |message, _| tell(decoded(&message)));
        let tell = ears.refused.reporter();
        server.on_message_error(move |error, _| tell(error.to_string()));
        let tell = ears.faults.reporter();
        server.on_error(move |error| tell(error.to_string()));
        let connected = Events::new();
        server.on_connection(connected.reporter());
        let parted = Events::new();
        let tell = parted.reporter();
        server.on_connection_close(move |client, reason| tell((client, reason.cause.clone())));
        soon("listening", server.listen()).await.expect("nothing else is at the path");
        OurServer { server, ears, connected, parted, client: None }
    }

    /// Waits for a client; from now on, it is talked to.
    pub async fn meet(&mut self) {
        self.client = Some(self.connected.next().await);
    }

    /// Waits until the client has left of its own accord.
    pub async fn part(&mut self) {
        let (client, cause) = self.parted.next().await;
        assert_eq!(Some(client), self.client.take());
        assert!(matches!(cause, CloseCause::PeerClosed), "the client left because {cause}");
    }

    /// Waits for a message error, and returns its text.
    pub async fn refuse(&mut self) -> String {
        self.ears.refused.next().await
    }

    /// Closes the server, after making sure that all it heard has been looked at.
    pub async fn close(mut self) {
        self.ears.assert_empty();
        self.close_amid_traffic().await;
    }

    /// Closes the server, whatever it still hears.
    pub async fn close_amid_traffic(&mut self) {
        soon("our server is closed", self.server.close()).await;
        self.ears.assert_sound();
    }
}

impl Speaks for OurServer {
    fn tongue(&self) -> Tongue {
        Tongue::Ours
    }

    async fn say(&mut self, said: &Said) {
        let (server, client) = (&self.server, self.client.expect("a client has been met"));
        match said {
            Said::Count(range) => {
                range.clone().for_each(|n| server.send(&Count { n, text: text(n) }, client).unwrap())
            }
            Said::Big(bytes) => {
                let message = Big { text: big(*bytes).into() };
                soon("a long message is queued", server.send_async(&message, client)).await.unwrap();
            }
            Said::Missing => server.send(&Missing, client).unwrap(),
            Said::Values => said.messages().iter().for_each(|Heard { topic, message }| {
                assert_eq!(server.broadcast_raw(topic, message).unwrap(), 1);
            }),
            Said::Ends | Said::None => {
                let say = |Heard { topic, message }: &Heard| server.send_raw(topic, message, client).unwrap();
                said.messages().iter().for_each(say);
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        self.ears.hear().await
    }
}

/// Our client.
pub struct OurClient {
    client: Arc<Client>,
    ears: Ears,
    events: Events<&'static str>,
}

impl OurClient {
    /// A client that speaks `wire`, not connected yet.
    pub fn new(path: &Path, wire: Wire) -> Self {
        // Short only to keep the tests short.
        let delay = Duration::from_millis(20);
        let client = Client::builder(path).wire(wire).retry_delay(delay).reconnect_delay(delay).build();
        let ears = Ears::new();
        let tell = ears.raw.reporter();
        client.on_message(move |message, topic| tell(heard(topic, &message)));
        let tell = ears.typed.reporter();
        client.on::<Count>(move |message| tell(decoded(&message)));
        let tell = ears.typed.reporter();
        client.on::<Big<'_>>(move |message| tell(decoded(&message)));
        let tell = ears.typed.reporter();
        client.on::<Missing>(move |message| tell(decoded(&message)));
        let tell = ears.refused.reporter();
        client.on_message_error(move |error| tell(error.to_string()));
        let tell = ears.faults.reporter();
        client.on_error(move |error| tell(error.to_string()));
        let events = Events::new();
        let tell = events.reporter();
        client.on_connect(move || tell("connect"));
        let tell = events.reporter();
        client.on_reconnect(move || tell("reconnect"));
        let tell = events.reporter();
        client.on_connect_error(move |_| tell("connectError"));
        let tell = events.reporter();
        client.on_disconnect(move |_| tell("disconnect"));
        OurClient { client: Arc::new(client), ears, events }
    }

    /// Begins to connect; `expect_after` waits for it to succeed.
    pub fn connect(&self) {
        let client = Arc::clone(&self.client);
        tokio::spawn(async move { client.connect().await.expect("nothing ends the attempts") });
    }

    /// The next thing that happens to it is `event`.
    pub async fn expect(&mut self, event: &str) {
        assert_eq!(self.events.next().await, event);
    }

    /// `event` happens to it, after any number of `passed`.
    pub async fn expect_after(&mut self, passed: &str, event: &str) {
        loop {
            let next = self.events.next().await;
            if next == event {
                return;
            }
            assert_eq!(next, passed);
        }
    }

    /// Waits for a message error, and returns its text.
    pub async fn refuse(&mut self) -> String {
        self.ears.refused.next().await
    }

    /// Closes the client, after making sure that all it heard has been looked at.
    pub async fn close(mut self) {
        self.ears.assert_empty();
        self.close_amid_traffic().await;
    }

    /// Closes the client, whatever it still hears.
    pub async fn close_amid_traffic(&mut self) {
        soon("our client is closed", self.client.close()).await;
        self.ears.assert_sound();
    }
}

impl Speaks for OurClient {
    fn tongue(&self) -> Tongue {
        Tongue::Ours
    }

    async fn say(&mut self, said: &Said) {
        let client = &self.client;
        match said {
            Said::Count(range) => {
                range.clone().for_each(|n| client.send(&Count { n, text: text(n) }).unwrap())
            }
            Said::Big(bytes) => {
                let message = Big { text: big(*bytes).into() };
                soon("a long message is queued", client.send_async(&message)).await.unwrap();
            }
            Said::Missing => client.send(&Missing).unwrap(),
            Said::Values | Said::Ends | Said::None => {
                let say = |Heard { topic, message }: &Heard| client.send_raw(topic, message).unwrap();
                said.messages().iter().for_each(say);
            }
        }
    }

    async fn hear(&mut self) -> Heard {
        self.ears.hear().await
    }
}
