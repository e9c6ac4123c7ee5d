//! This library's ends of a conversation with a foreign peer: a server and a client that record what they receive.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use socket_ipc::{Client, ClientId, CloseCause, RawMessage, Server, Topic, Wire};

use super::foreign::{Batch, Conversant, Dialect, Received, big, text};
use super::{Events, soon};

/// A numbered message.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "count"]
struct Count {
    n: u32,
    text: String,
}

/// A long message, borrowed from the received bytes.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "big"]
struct Big<'m> {
    #[serde(borrow)]
    text: Cow<'m, str>,
}

/// A topic without a message.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "missing"]
struct Missing;

/// What an endpoint of this library has received, by its raw listener of all topics and by its typed listeners.
struct Recorder {
    raw: Events<Received>,
    typed: Events<Received>,
    message_errors: Events<String>,
    errors: Events<String>,
}

impl Recorder {
    fn new() -> Self {
        Recorder {
            raw: Events::new(),
            typed: Events::new(),
            message_errors: Events::new(),
            errors: Events::new(),
        }
    }

    async fn receive(&mut self) -> Received {
        let received = self.raw.next().await;
        if [Count::NAME, Big::NAME, Missing::NAME].contains(&received.topic.as_str()) {
            let typed = self.typed.next().await;
            assert!(typed == received, "number {} was decoded to something else", received.message["n"]);
        }
        received
    }

    /// Fails if anything unexpected was received.
    fn assert_empty(&mut self) {
        let more = [self.raw.rest(), self.typed.rest()].concat();
        assert!(more.is_empty(), "{} more messages than were sent", more.len());
        assert_eq!(self.message_errors.rest(), [""; 0]);
        self.assert_no_errors();
    }

    fn assert_no_errors(&mut self) {
        assert_eq!(self.errors.rest(), [""; 0]);
    }
}

fn received(topic: &str, message: &RawMessage<'_>) -> Received {
    Received::new(topic, message.to_value().expect("a peer's message has a value"))
}

fn decoded<T: Topic + Serialize>(message: &T) -> Received {
    Received::new(T::NAME, json!(message))
}

/// Our server, which converses with one client at a time.
pub struct OurServer {
    server: Server,
    recorder: Recorder,
    connected: Events<ClientId>,
    closes: Events<(ClientId, CloseCause)>,
    client: Option<ClientId>,
}

impl OurServer {
    /// Starts a server with `wire`.
    pub async fn listen(path: &Path, wire: Wire) -> Self {
        let server = Server::builder(path).wire(wire).build();
        let recorder = Recorder::new();
        let report = recorder.raw.reporter();
        server.on_message(move |message, topic, _| report(received(topic, &message)));
        let report = recorder.typed.reporter();
        server.on::<Count>(move |message, _| report(decoded(&message)));
        let report = recorder.typed.reporter();
        server.on::<Big<'_>>(move |message, _| report(decoded(&message)));
        let report = recorder.typed.reporter();
        server.on::<Missing>(move |message, _| report(decoded(&message)));
        let report = recorder.message_errors.reporter();
        server.on_message_error(move |error, _| report(error.to_string()));
        let report = recorder.errors.reporter();
        server.on_error(move |error| report(error.to_string()));
        let connected = Events::new();
        server.on_connection(connected.reporter());
        let closes = Events::new();
        let report = closes.reporter();
        server.on_connection_close(move |client, reason| report((client, reason.cause.clone())));
        soon("listening", server.listen()).await.expect("nothing else is at the path");
        OurServer { server, recorder, connected, closes, client: None }
    }

    /// Waits for a client, to which later messages are sent.
    pub async fn accept_client(&mut self) {
        self.client = Some(self.connected.next().await);
    }

    /// Waits until the client has closed the connection.
    pub async fn expect_client_leaves(&mut self) {
        let (client, cause) = self.closes.next().await;
        assert_eq!(Some(client), self.client.take());
        assert!(matches!(cause, CloseCause::PeerClosed), "the client left because {cause}");
    }

    /// Waits for a message error, and returns its text.
    pub async fn message_error(&mut self) -> String {
        self.recorder.message_errors.next().await
    }

    /// Closes the server, after checking that everything received was expected.
    pub async fn close(mut self) {
        self.recorder.assert_empty();
        self.close_under_load().await;
    }

    /// Closes the server, whatever it still receives.
    pub async fn close_under_load(&mut self) {
        soon("our server is closed", self.server.close()).await;
        self.recorder.assert_no_errors();
    }
}

impl Conversant for OurServer {
    fn dialect(&self) -> Dialect {
        Dialect::Ours
    }

    async fn send(&mut self, batch: &Batch) {
        let (server, client) = (&self.server, self.client.expect("a client is connected"));
        match batch {
            Batch::Count(range) => {
                range.clone().for_each(|n| server.send(&Count { n, text: text(n) }, client).unwrap())
            }
            Batch::Big(bytes) => {
                let message = Big { text: big(*bytes).into() };
                soon("a long message is queued", server.send_async(&message, client)).await.unwrap();
            }
            Batch::Missing => server.send(&Missing, client).unwrap(),
            Batch::Values => batch.messages().iter().for_each(|Received { topic, message }| {
                assert_eq!(server.broadcast_raw(topic, message).unwrap(), 1);
            }),
            Batch::Delimiters | Batch::None => {
                let send =
                    |Received { topic, message }: &Received| server.send_raw(topic, message, client).unwrap();
                batch.messages().iter().for_each(send);
            }
        }
    }

    async fn receive(&mut self) -> Received {
        self.recorder.receive().await
    }
}

/// Our client.
pub struct OurClient {
    client: Arc<Client>,
    recorder: Recorder,
    events: Events<&'static str>,
}

impl OurClient {
    /// A client with `wire`, not connected yet.
    pub fn new(path: &Path, wire: Wire) -> Self {
        // Short, to keep the tests short.
        let delay = Duration::from_millis(20);
        let client = Client::builder(path).wire(wire).retry_delay(delay).reconnect_delay(delay).build();
        let recorder = Recorder::new();
        let report = recorder.raw.reporter();
        client.on_message(move |message, topic| report(received(topic, &message)));
        let report = recorder.typed.reporter();
        client.on::<Count>(move |message| report(decoded(&message)));
        let report = recorder.typed.reporter();
        client.on::<Big<'_>>(move |message| report(decoded(&message)));
        let report = recorder.typed.reporter();
        client.on::<Missing>(move |message| report(decoded(&message)));
        let report = recorder.message_errors.reporter();
        client.on_message_error(move |error| report(error.to_string()));
        let report = recorder.errors.reporter();
        client.on_error(move |error| report(error.to_string()));
        let events = Events::new();
        let report = events.reporter();
        client.on_connect(move || report("connect"));
        let report = events.reporter();
        client.on_reconnect(move || report("reconnect"));
        let report = events.reporter();
        client.on_connect_error(move |_| report("connectError"));
        let report = events.reporter();
        client.on_disconnect(move |_| report("disconnect"));
        OurClient { client: Arc::new(client), recorder, events }
    }

    /// Starts to connect; `expect_after` waits for the success.
    pub fn connect(&self) {
        let client = Arc::clone(&self.client);
        tokio::spawn(async move { client.connect().await.expect("nothing ends the attempts") });
    }

    /// The next event is `event`.
    pub async fn expect(&mut self, event: &str) {
        assert_eq!(self.events.next().await, event);
    }

    /// The next event is `event`, after any number of `passed`.
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
    pub async fn message_error(&mut self) -> String {
        self.recorder.message_errors.next().await
    }

    /// Closes the client, after checking that everything received was expected.
    pub async fn close(mut self) {
        self.recorder.assert_empty();
        self.close_under_load().await;
    }

    /// Closes the client, whatever it still receives.
    pub async fn close_under_load(&mut self) {
        soon("our client is closed", self.client.close()).await;
        self.recorder.assert_no_errors();
    }
}

impl Conversant for OurClient {
    fn dialect(&self) -> Dialect {
        Dialect::Ours
    }

    async fn send(&mut self, batch: &Batch) {
        let client = &self.client;
        match batch {
            Batch::Count(range) => {
                range.clone().for_each(|n| client.send(&Count { n, text: text(n) }).unwrap())
            }
            Batch::Big(bytes) => {
                let message = Big { text: big(*bytes).into() };
                soon("a long message is queued", client.send_async(&message)).await.unwrap();
            }
            Batch::Missing => client.send(&Missing).unwrap(),
            Batch::Values | Batch::Delimiters | Batch::None => {
                let send = |Received { topic, message }: &Received| client.send_raw(topic, message).unwrap();
                batch.messages().iter().for_each(send);
            }
        }
    }

    async fn receive(&mut self) -> Received {
        self.recorder.receive().await
    }
}
