//! A peer that writes bytes of its choice to a server or to a client, and what is made of them.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::fmt::Debug;
use std::time::Duration;

use serde::Deserialize;
use socket_ipc::{Client, MessageErrorKind, Server, Topic, Wire, limits};
use support::{Events, Place, RawPeer};
use tokio::net::UnixListener;

/// What a server or a client made of what its peer wrote.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A topic and a raw message, or a typed one as `Debug` shows it.
    Heard(String, String),
    /// The kind, the bytes that are kept, and how many there were.
    Refused(MessageErrorKind, Vec<u8>, u64),
    /// The connection of the peer ended; so many bytes of a message were there.
    Ended(String, u64),
}

pub fn heard(topic: &str, message: &str) -> Event {
    Event::Heard(topic.to_owned(), message.to_owned())
}

pub enum Side {
    Server(Server),
    Client(Client),
}

/// A peer that writes what it likes, and beside it, where the peer is a server, one that must not
/// notice.
pub struct Attack {
    pub peer: RawPeer,
    pub bystander: Option<RawPeer>,
    pub events: Events<Event>,
    pub side: Side,
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
        let (report, refused, ended) = (events.reporter(), events.reporter(), events.reporter());
        server.on_topic("good", move |message, _| report(heard("good", message.as_str())));
        server.on_message_error(move |error, _| {
            refused(Event::Refused(error.kind().clone(), error.raw().into(), error.len()));
        });
        server.on_connection_close(move |id, reason| {
            ended(Event::Ended(format!("{id}: {:?}", reason.cause), reason.unfinished_bytes));
        });
        server.listen().await.unwrap();
        let peer = RawPeer::connect(place.socket()).await;
        let bystander = Some(RawPeer::connect(place.socket()).await);
        Self { peer, bystander, events, side: Side::Server(server), _place: place }
    }

    pub async fn on_client(limits: Limits) -> Self {
        let (place, events) = (Place::new(), Events::new());
        let listener = UnixListener::bind(place.socket()).unwrap();
        let client = limited!(Client::builder(place.socket()), limits);
        let (report, refused, ended) = (events.reporter(), events.reporter(), events.reporter());
        client.on_topic("good", move |message| report(heard("good", message.as_str())));
        client.on_message_error(move |error| {
            refused(Event::Refused(error.kind().clone(), error.raw().into(), error.len()));
        });
        client.on_disconnect(move |reason| {
            ended(Event::Ended(format!("1: {:?}", reason.cause), reason.unfinished_bytes));
        });
        client.connect().await.unwrap();
        let peer = RawPeer::over(listener.accept().await.unwrap().0);
        Self { peer, bystander: None, events, side: Side::Client(client), _place: place }
    }

    pub async fn both(limits: Limits) -> [Self; 2] {
        [Self::on_server(limits).await, Self::on_client(limits).await]
    }

    /// Hears every message but the good one, which is heard already, as text.
    pub fn hear_all(&self) {
        let report = self.events.reporter();
        let report = move |event: Event| match &event {
            Event::Heard(topic, _) if topic == "good" => {}
            _ => report(event),
        };
        match &self.side {
            Side::Server(server) => {
                server.on_message(move |message, topic, _| report(heard(topic, message.as_str())))
            }
            Side::Client(client) => {
                client.on_message(move |message, topic| report(heard(topic, message.as_str())))
            }
        };
    }

    /// Hears the messages of a type.
    pub fn hear<T: Topic + 'static>(&self)
    where
        for<'m> T::Message<'m>: Deserialize<'m> + Debug,
    {
        let report = self.events.reporter();
        match &self.side {
            Side::Server(server) => server.on::<T>(move |msg, _| report(heard(T::NAME, &format!("{msg:?}")))),
            Side::Client(client) => client.on::<T>(move |msg| report(heard(T::NAME, &format!("{msg:?}")))),
        };
    }

    /// The connection lives: the next good message is heard, and nothing before it. So it is for the other
    /// client.
    pub async fn lives(&mut self) {
        for peer in [Some(&mut self.peer), self.bystander.as_mut()].into_iter().flatten() {
            peer.write("{\"topic\":\"good\",\"message\":\"still\"}\n").await;
            assert_eq!(self.events.next().await, heard("good", "\"still\""));
        }
        if let Side::Server(server) = &self.side {
            assert_eq!(server.clients().len(), 2);
        }
    }

    /// Writes a message that must be refused, and returns why it was.
    pub async fn refused(&mut self, line: impl AsRef<[u8]>) -> MessageErrorKind {
        let line = line.as_ref();
        self.peer.write([line, b"\n"].concat()).await;
        let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
        let kind = match self.events.next().await {
            Event::Refused(kind, raw, len) => {
                assert_eq!(len, line.len() as u64, "{shown}");
                assert!(raw == line[..line.len().min(limits::RAW_LEN)], "the raw bytes of {shown}");
                kind
            }
            other => panic!("{shown} became {other:?}"),
        };
        self.lives().await;
        kind
    }

    pub async fn no_envelope(&mut self, line: impl AsRef<[u8]>) {
        let kind = self.refused(line.as_ref()).await;
        assert!(matches!(kind, MessageErrorKind::Envelope(_)), "{kind:?}");
    }

    pub async fn undecodable(&mut self, line: impl AsRef<[u8]>) -> String {
        match self.refused(line.as_ref()).await {
            MessageErrorKind::Decode { reason, .. } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Writes a line that must be heard as one message.
    pub async fn hears(&mut self, line: impl AsRef<[u8]>, topic: &str, message: &str) {
        self.peer.write([line.as_ref(), b"\n"].concat()).await;
        assert_eq!(self.events.next().await, heard(topic, message));
    }
}
