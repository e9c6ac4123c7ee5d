//! What `authorize` sees, and what becomes of what it refuses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde::{Deserialize, Deserializer, Serialize};
use socket_ipc::{
    AttemptKind, ClientId, Error, ErrorReply, MessageErrorKind, Peer, Protocol, RequestError, Server,
    ServerHandle, Topic, Wire,
};
use support::{Events, Place, RawPeer, soon};

use crate::accepted;

/// How many values of `Counted` were decoded.
static DECODED: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize)]
struct Counted;

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "secret", reply = u64)]
struct Secret(Counted);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "secrets", stream = u64)]
struct Secrets(Counted);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "tell"]
struct Tell(Counted);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = u64)]
struct Double(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count", stream = u64)]
struct Count(u64);

/// A request whose replies have a topic of their own: plain messages get them, too.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "greet", reply = String, reply_topic = "greeting")]
struct Greet;

/// Takes anything, also what is no JSON.
#[derive(Topic)]
#[topic = "lenient"]
struct Lenient;

#[derive(Topic)]
#[topic(name = "lenient request", reply = u64)]
struct LenientRequest;

macro_rules! takes_anything {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let _ = serde::de::IgnoredAny::deserialize(deserializer);
                Ok(Self)
            }
        }
    )*};
}

takes_anything!(Lenient, LenientRequest);

type Seen = (String, AttemptKind, ClientId, Option<Peer>);

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

support::both_flavours! {
    async fn authorize_sees_all_that_is_attempted_but_no_replies_and_control_lines() {
        let place = Place::new();
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let noted = Arc::clone(&seen);
        let builder = Server::builder(place.socket()).describe();
        let server = builder
            .authorize(move |attempt| {
                let attempt = (attempt.topic().to_owned(), attempt.kind(), attempt.client_id(), attempt.peer());
                noted.lock().unwrap().push(attempt);
                Ok(())
            })
            .build();
        let mut told = server.subscribe::<Tell>();
        server.respond::<Double>(|Double(number), _client_id| 2 * number).unwrap();
        server.respond_stream::<Count>(|Count(end), _client_id| futures::stream::iter(0..end)).unwrap();
        server.listen().await.unwrap();
        let client = socket_ipc::Client::new(place.socket());
        client.respond::<Double>(|Double(number)| 2 * number).unwrap();
        client.connect().await.unwrap();
        let [client_id] = accepted(&server).await;

        client.send_raw("tell", &1).unwrap();
        soon("the message", told.next()).await.unwrap();
        assert_eq!(soon("the reply", client.request(&Double(4))).await.unwrap(), 8);
        // A window of few bytes, so that the client renews it; and then it cancels the stream.
        let mut items = client.request_stream(&Count(1_000_000)).window(64);
        for number in 0..100 {
            assert_eq!(soon("an item", items.next()).await.unwrap().unwrap(), number);
        }
        drop(items);
        // The reply to the server's own request needs no permission.
        assert_eq!(soon("the client's reply", server.request(&Double(5), client_id)).await.unwrap(), 10);
        let _ = soon("a description", client.request_raw("socket-ipc.describe", &())).await.unwrap();
        let _ = soon("an error", client.request_raw("nobody", &())).await.unwrap_err();

        let peer = server.peer(client_id);
        assert_eq!(peer.map(|peer| peer.uid), Some(own_user()));
        let expected = [
            ("tell", AttemptKind::Message),
            ("double", AttemptKind::Request),
            ("count", AttemptKind::Stream),
            ("socket-ipc.describe", AttemptKind::Request),
            ("nobody", AttemptKind::Request),
        ];
        let expected: Vec<Seen> =
            expected.map(|(topic, kind)| (topic.to_owned(), kind, client_id, peer)).into();
        assert_eq!(*seen.lock().unwrap(), expected);
        client.close().await;
        server.close().await;
    }

    async fn authorize_refuses_before_anything_is_decoded() {
        let place = Place::new();
        let (mut errors, mut others) = (Events::new(), Events::new());
        let server = Server::builder(place.socket())
            .authorize(|attempt| match attempt.topic() {
                "secret" => Err("not for you".into()),
                "secrets" => Err(ErrorReply::new("by_night_only", "come back later")),
                "tell" => Err(ErrorReply::new(ErrorReply::FORBIDDEN, "nobody listens to you")),
                _ => Ok(()),
            })
            .build();
        server.on::<Tell>(|_, _| panic!("a listener was called"));
        server.on_message(|_, topic, _| assert_eq!(topic, "double", "a listener was called"));
        server.respond::<Secret>(|_, _| -> u64 { panic!("a responder was called") }).unwrap();
        server.respond_stream::<Secrets>(|_, _| futures::stream::repeat(7)).unwrap();
        server.respond::<Double>(|Double(number), _client_id| 2 * number).unwrap();
        let report = errors.reporter();
        server.on_message_error(move |error, _client_id| report((error.kind().clone(), error.to_string(), error.len())));
        let report = others.reporter();
        server.on_error(move |error| report(error.to_string()));
        server.listen().await.unwrap();
        let client = socket_ipc::Client::new(place.socket());
        client.connect().await.unwrap();

        let before = DECODED.load(Ordering::Relaxed);
        let rejected = |error| match error {
            RequestError::Rejected { reply, .. } => (reply.code().to_owned(), reply.text().to_owned()),
            other => panic!("{other}"),
        };
        let error = soon("an error reply", client.request(&Secret(Counted))).await.unwrap_err();
        assert_eq!(rejected(error), ("forbidden".to_owned(), "not for you".to_owned()));
        let mut items = client.request_stream(&Secrets(Counted));
        let error = soon("an error reply", items.next()).await.unwrap().unwrap_err();
        assert_eq!(rejected(error), ("by_night_only".to_owned(), "come back later".to_owned()));
        assert!(soon("the end of the stream", items.next()).await.is_none());
        client.send(&Tell(Counted)).unwrap();
        let (kind, text, len) = errors.next().await;
        let (topic, code, reason) = ("tell".to_owned(), "forbidden".to_owned(), "nobody listens to you".to_owned());
        assert_eq!(kind, MessageErrorKind::Forbidden { topic, code, text: reason });
        assert_eq!(len, br#"{"topic":"tell","message":null}"#.len() as u64);
        assert_eq!(
            text,
            format!("a message of {len} bytes: `tell` is refused by `authorize`: nobody listens to you (forbidden)")
        );
        // The connection lives on.
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
        assert_eq!(DECODED.load(Ordering::Relaxed), before);
        assert_eq!(server.stats().message_errors, 1);
        assert_eq!(server.stats().received.messages, 4);
        assert_eq!(others.rest(), Vec::<String>::new());
    }

    // No lock is held: it may use the server in every way.
    async fn authorize_may_use_its_server() {
        let place = Place::new();
        let (handle, mut seen) = (Arc::new(OnceLock::<ServerHandle>::new()), Events::new());
        let (used, report) = (Arc::clone(&handle), seen.reporter());
        let server = Server::builder(place.socket())
            .authorize(move |attempt| {
                let (server, client_id) = (used.get().unwrap(), attempt.client_id());
                let listener = server.on_topic("other", |_, _| ());
                server.send_raw("seen", &attempt.topic(), client_id).unwrap();
                server.group("seen").join(client_id).unwrap();
                let known = (server.clients(), server.peer(client_id) == attempt.peer(), server.stats().open_connections);
                report((known, server.off(listener)));
                Ok(())
            })
            .build();
        assert!(handle.set(server.handle()).is_ok());
        server.respond::<Double>(|Double(number), _client_id| 2 * number).unwrap();
        server.listen().await.unwrap();
        let client = socket_ipc::Client::new(place.socket());
        client.connect().await.unwrap();
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
        let [client_id] = accepted(&server).await;
        assert_eq!(seen.next().await, ((vec![client_id], true, 1), true));
    }

    async fn authorize_panics_refuses() {
        let place = Place::new();
        let mut errors = Events::new();
        let server = Server::builder(place.socket()).authorize(|_| panic!("no idea")).build();
        server.respond::<Double>(|_, _| -> u64 { panic!("a responder was called") }).unwrap();
        let report = errors.reporter();
        server.on_error(move |error| match error {
            Error::ListenerPanicked { listens_for, client_id, panic } => {
                report((listens_for.clone(), *client_id, panic.clone()));
            }
            other => panic!("{other}"),
        });
        server.listen().await.unwrap();
        let client = socket_ipc::Client::new(place.socket());
        client.connect().await.unwrap();
        let error = soon("an error reply", client.request(&Double(4))).await.unwrap_err();
        let RequestError::Rejected { reply, .. } = error else { panic!("{error}") };
        assert_eq!(reply.code(), ErrorReply::FORBIDDEN);
        assert!(!reply.text().contains("no idea"), "{reply:?}");
        let [client_id] = accepted(&server).await;
        assert_eq!(errors.next().await, ("`authorize`".to_owned(), Some(client_id), "no idea".to_owned()));
    }

    // Envelopes in unusual forms, and lines that are none: `authorize` is asked about exactly those that are
    // dispatched otherwise.
    async fn authorize_is_asked_about_every_form_of_an_envelope() {
        let place = Place::new();
        let mut seen = Events::new();
        let report = seen.reporter();
        let server = Server::builder(place.socket())
            .authorize(move |attempt| {
                report((attempt.topic().to_owned(), attempt.kind()));
                Err(ErrorReply::new(ErrorReply::FORBIDDEN, "no"))
            })
            .max_topic_len(16)
            .build();
        server.on_message(|_, topic, _| panic!("a listener of {topic} was called"));
        server.on_message_error(|_, _| ());
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        let lines = [
            r#"{"message":1,"topic":"last"}"#,
            r#"{"topic":"\u0065scaped","message":1}"#,
            r#"{"topic":"","message":1}"#,
            r#" { "id" : 7 , "topic" : "request" } "#,
            r#"{"topic":"stream","message":1,"id":"a","window":null}"#,
            r#"{"topic":"odd window","id":8,"window":-1}"#,
            r#"{"topic":"odd id","message":1,"id":{}}"#,
            r#"{"topic":"null","message":1,"re":null}"#,
            r#"{"topic":"exactly 16 bytes","message":1}"#,
            // Not dispatched anyway.
            r#"{"topic":"twice","topic":"twice"}"#,
            r#"{"topic":"a topic over the limit","message":1}"#,
            r#"{"topic":"reply","message":1,"re":7}"#,
            r#"{"topic":"open","message":1"#,
            "[]",
            "",
            r#"{"topic":"end","message":1}"#,
        ];
        for line in lines {
            peer.write(format!("{line}\n")).await;
        }
        let expected = [
            ("last", AttemptKind::Message),
            ("escaped", AttemptKind::Message),
            ("none", AttemptKind::Message),
            ("request", AttemptKind::Request),
            ("stream", AttemptKind::Stream),
            ("odd window", AttemptKind::Stream),
            ("odd id", AttemptKind::Message),
            ("null", AttemptKind::Message),
            ("exactly 16 bytes", AttemptKind::Message),
            ("end", AttemptKind::Message),
        ];
        for (topic, kind) in expected {
            assert_eq!(seen.next().await, (topic.to_owned(), kind));
        }
        for (id, topic) in [("7", "request"), (r#""a""#, "stream"), ("8", "odd window")] {
            let line = peer.line().await;
            let envelope = Wire::JSON_LINES.decode(line.as_bytes()).unwrap();
            assert!(envelope.is_error && line.ends_with(&format!(r#""error":true,"re":{id}}}"#)), "{topic}: {line}");
        }
    }

    // A listener that takes what is no JSON: the envelope is refused before anybody looks at it.
    async fn authorize_is_asked_or_no_listener_is_called() {
        let place = Place::new();
        let mut errors = Events::new();
        let server = Server::builder(place.socket()).authorize(|_| Err("no".into())).build();
        server.on::<Lenient>(|_, _| panic!("a listener was called"));
        server.respond::<LenientRequest>(|_, _| -> u64 { panic!("a responder was called") }).unwrap();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for topic in ["lenient", "lenient request"] {
            // The second one begins as the first one does: that is the way by which only the message is read.
            for message in [r#"{"id":1}"#, r#"{"id":1}"#, " ", "\"a\tb\"", "nonsense"] {
                peer.write(format!("{{\"topic\":\"{topic}\",\"message\":{message}}}\n")).await;
                let kind = errors.next().await;
                let is_refused = matches!(kind, MessageErrorKind::Forbidden { .. });
                let is_broken = matches!(kind, MessageErrorKind::Envelope(_));
                assert!(if message.starts_with('{') { is_refused } else { is_broken }, "{message}: {kind}");
            }
        }
    }

    // A message without an id calls the responder of its topic: it is refused like a request.
    async fn authorize_message_to_a_responder_is_refused() {
        let place = Place::new();
        let mut errors = Events::new();
        let server = Server::builder(place.socket()).authorize(|_| Err("not you".into())).build();
        server.respond::<Double>(|_, _| -> u64 { panic!("a responder was called") }).unwrap();
        server.respond::<Greet>(|_, _| -> String { panic!("a responder was called") }).unwrap();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().to_string()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"double\",\"message\":4}\n{\"topic\":\"greet\",\"message\":null}\n").await;
        assert_eq!(errors.next().await, "`double` is refused by `authorize`: not you (forbidden)");
        assert_eq!(errors.next().await, "`greet` is refused by `authorize`: not you (forbidden)");
        // Where replies have a topic of their own, a plain message gets the error, too.
        let line = peer.line().await;
        let expected = r#"{"topic":"error","message":{"code":"forbidden","text":"not you"},"error":true,"re":null}"#;
        assert_eq!(line, expected);
    }

    async fn authorize_refuses_a_million_requests_in_no_memory() {
        const REQUESTS: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        let place = Place::new();
        let server = Server::builder(place.socket()).authorize(|_| Err("no".into())).build();
        server.listen().await.unwrap();
        let stream = tokio::net::UnixStream::connect(place.socket()).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            for first in (0..REQUESTS).step_by(1_000) {
                let lines: String = (first..first + 1_000)
                    .map(|id| format!("{{\"topic\":\"secret\",\"message\":null,\"id\":{id}}}\n"))
                    .collect();
                writer.write_all(lines.as_bytes()).await.unwrap();
            }
            writer
        });
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(reader));
        for id in 0..REQUESTS {
            let line = soon("an error reply", lines.next_line()).await.unwrap().unwrap();
            assert!(line.ends_with(&format!(r#""error":true,"re":{id}}}"#)), "{line}");
        }
        let _ = writing.await.unwrap();
        // What the replies took at most: the outbox, and what it takes beyond its high-water mark.
        let most = server.stats().outbox_peak;
        assert!(most < 9 * 1024 * 1024, "{most} bytes were queued");
        server.close().await;
    }
}

#[derive(Protocol)]
#[protocol(to_server(Double, Tell))]
struct Numbers;

#[tokio::test]
async fn authorize_of_a_protocol_is_an_option_of_its_builder() {
    let server = Numbers::server("in memory").authorize(|_| Err("no".into())).build();
    let client = server.in_memory_client().build();
    client.connect().await.unwrap();
    let error = soon("an error", client.request(&Double(1))).await.unwrap_err();
    assert!(error.to_string().contains("no"), "{error}");
}
