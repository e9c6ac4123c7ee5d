//! A peer that writes arbitrary bytes to a server or to a client, and the events that follow.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::fmt::Debug;
use std::time::Duration;

use serde::Deserialize;
use socket_ipc::{Client, MessageErrorKind, Server, Topic, Wire, limits};
use support::{Events, Place, RawPeer};
use tokio::net::UnixListener;

/// An event of the attacked server or client.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A topic and a raw message, or a typed one as `Debug` shows it.
    Received(String, String),
    /// A message error: the kind, the bytes that are kept, and how many there were.
    Error(MessageErrorKind, Vec<u8>, u64),
    /// The connection of the peer ended, with this many bytes of an unfinished message.
    Ended(String, u64),
}

pub fn received(topic: &str, message: &str) -> Event {
    Event::Received(topic.to_owned(), message.to_owned())
}

pub enum Endpoint {
    Server(Server),
    Client(Client),
}

/// A peer that writes arbitrary bytes to `endpoint`. A server also has a bystander, which must not notice.
pub struct Attack {
    pub peer: RawPeer,
    pub bystander: Option<RawPeer>,
    pub events: Events<Event>,
    pub endpoint: Endpoint,
    _place: Place,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub message: Option<usize>,
    pub incomplete: Option<Duration>,
    pub wire: Option<Wire>,
}

macro_rules! limited {
    ($builder:expr, $limits:expr) => {{
        let mut builder = $builder;
        if let Some(len) = $limits.message {
            builder = builder.max_message_len(len);
        }
        if let Some(timeout) = $limits.incomplete {
            builder = builder.incomplete_timeout(timeout);
        }
        if let Some(wire) = $limits.wire {
            builder = builder.wire(wire);
        }
        builder.build()
    }};
}

impl Attack {
    pub async fn on_server(limits: Limits) -> Self {
        let (place, events) = (Place::new(), Events::new());
        let server = limited!(Server::builder(place.socket()), limits);
        let (report, rejected, ended) = (events.reporter(), events.reporter(), events.reporter());
        server.on_topic("good", move |message, _| report(received("good", message.as_str())));
        server.on_message_error(move |error, _| {
            rejected(Event::Error(error.kind().clone(), error.raw().into(), error.len()));
        });
        server.on_connection_close(move |id, reason| {
            ended(Event::Ended(format!("{id}: {:?}", reason.cause), reason.unfinished_bytes));
        });
        server.listen().await.unwrap();
        let peer = RawPeer::connect(place.socket()).await;
        let bystander = Some(RawPeer::connect(place.socket()).await);
        Self { peer, bystander, events, endpoint: Endpoint::Server(server), _place: place }
    }

    pub async fn on_client(limits: Limits) -> Self {
        let (place, events) = (Place::new(), Events::new());
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = limited!(Client::builder(place.socket()), limits);
        let (report, rejected, ended) = (events.reporter(), events.reporter(), events.reporter());
        client.on_topic("good", move |message| report(received("good", message.as_str())));
        client.on_message_error(move |error| {
            rejected(Event::Error(error.kind().clone(), error.raw().into(), error.len()));
        });
        client.on_disconnect(move |reason| {
            ended(Event::Ended(format!("1: {:?}", reason.cause), reason.unfinished_bytes));
        });
        client.connect().await.unwrap();
        let peer = RawPeer::over(listener.accept().await.unwrap().0);
        Self { peer, bystander: None, events, endpoint: Endpoint::Client(client), _place: place }
    }

    pub async fn both(limits: Limits) -> [Self; 2] {
        [Self::on_server(limits).await, Self::on_client(limits).await]
    }

    /// Reports every message as text, except the good ones, which are reported already.
    pub fn listen_for_all(&self) {
        let report = self.events.reporter();
        let report = move |event: Event| match &event {
            Event::Received(topic, _) if topic == "good" => {}
            _ => report(event),
        };
        match &self.endpoint {
            Endpoint::Server(server) => {
                server.on_message(move |message, topic, _| report(received(topic, message.as_str())))
            }
            Endpoint::Client(client) => {
                client.on_message(move |message, topic| report(received(topic, message.as_str())))
            }
        };
    }

    /// Reports the messages of a type.
    pub fn listen_for<T: Topic + 'static>(&self)
    where
        for<'m> T::Message<'m>: Deserialize<'m> + Debug,
    {
        let report = self.events.reporter();
        match &self.endpoint {
            Endpoint::Server(server) => {
                server.on::<T>(move |msg, _| report(received(T::NAME, &format!("{msg:?}"))))
            }
            Endpoint::Client(client) => {
                client.on::<T>(move |msg| report(received(T::NAME, &format!("{msg:?}"))))
            }
        };
    }

    /// The connection is open: the next event is the next good message, for the bystander too.
    pub async fn lives(&mut self) {
        for peer in [Some(&mut self.peer), self.bystander.as_mut()].into_iter().flatten() {
            peer.write("{\"topic\":\"good\",\"message\":\"still\"}\n").await;
            assert_eq!(self.events.next().await, received("good", "\"still\""));
        }
        if let Endpoint::Server(server) = &self.endpoint {
            assert_eq!(server.clients().len(), 2);
        }
    }

    /// Writes a line that must be a message error, and returns its kind.
    pub async fn rejected(&mut self, line: impl AsRef<[u8]>) -> MessageErrorKind {
        let line = line.as_ref();
        self.peer.write([line, b"\n"].concat()).await;
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        let kind = match self.events.next().await {
            Event::Error(kind, raw, len) => {
                assert_eq!(len, line.len() as u64, "{shown}");
                assert!(raw == line[..line.len().min(limits::RAW_LEN)], "the raw bytes of {shown}");
                kind
            }
            other => panic!("{shown} became {other:?}"),
        };
        self.lives().await;
        kind
    }

    pub async fn envelope_error(&mut self, line: impl AsRef<[u8]>) {
        let kind = self.rejected(line.as_ref()).await;
        assert!(matches!(kind, MessageErrorKind::Envelope(_)), "{kind:?}");
    }

    pub async fn decode_error(&mut self, line: impl AsRef<[u8]>) -> String {
        match self.rejected(line.as_ref()).await {
            MessageErrorKind::Decode { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Writes a line that must be received as one message.
    pub async fn receives(&mut self, line: impl AsRef<[u8]>, topic: &str, message: &str) {
        self.peer.write([line.as_ref(), b"\n"].concat()).await;
        assert_eq!(self.events.next().await, received(topic, message));
    }
}
