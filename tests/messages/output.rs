//! Sent messages: whole and in order where they can be sent, a named error where they can't.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use socket_ipc::{
    Client, ClientHandle, ClientId, Error, RequestError, SendError, Server, ServerHandle, Topic,
};
use support::{Events, Place, RawPeer, soon};
use tokio::net::UnixListener;

/// A server with one raw client, and a client of a raw server.
struct Pair {
    server: Server,
    client: Client,
    of_server: RawPeer,
    of_client: RawPeer,
    connections: Events<ClientId>,
    errors: Events<String>,
    places: [Place; 2],
}

impl Pair {
    async fn new() -> Self {
        let (places, errors) = ([Place::new(), Place::new()], Events::new());
        let server = Server::builder(places[0].socket()).max_message_len(100_000).build();
        let listener = UnixListener::bind(places[1].socket()).unwrap();
        let client = Client::builder(places[1].socket()).max_message_len(100_000).build();
        let report = errors.reporter();
        server.on_error(move |error| report(error.to_string()));
        let report = errors.reporter();
        client.on_error(move |error| report(error.to_string()));
        let mut connections = Events::new();
        let report = connections.reporter();
        server.on_connection(report);
        server.listen().await.unwrap();
        let of_server = RawPeer::connect(places[0].socket()).await;
        connections.next().await;
        client.connect().await.unwrap();
        let of_client = RawPeer::over(listener.accept().await.unwrap().0);
        Self { server, client, of_server, of_client, connections, errors, places }
    }

    /// Sends one value in every way; each must fail.
    fn send_errors(&self, message: &(impl Serialize + ?Sized)) -> [SendError; 3] {
        let id = self.server.clients()[0];
        [
            self.server.send_raw("x", message, id).unwrap_err(),
            self.server.broadcast_raw("x", message).unwrap_err(),
            self.client.send_raw("x", message).unwrap_err(),
        ]
    }

    /// The next message that both peers receive is one that is sent now.
    async fn nothing_was_written(&mut self) {
        self.server.broadcast_raw("next", &1).unwrap();
        self.client.send_raw("next", &1).unwrap();
        for peer in [&mut self.of_server, &mut self.of_client] {
            assert_eq!(peer.line().await, r#"{"topic":"next","message":1}"#);
        }
    }

    /// The line that both peers receive for a value.
    async fn written(&mut self, message: &impl Serialize) -> String {
        assert_eq!(self.server.broadcast_raw("x", message).unwrap(), 1);
        self.client.send_raw("x", message).unwrap();
        let (one, other) = (self.of_server.line().await, self.of_client.line().await);
        assert_eq!(one, other);
        one
    }
}

struct Failing;

impl Serialize for Failing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("does not want to"))
    }
}

/// Panics while it is encoded.
struct Panicking;

impl Serialize for Panicking {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(None)?;
        seq.serialize_element(&1)?;
        panic!("in the middle")
    }
}

/// Sends another message while it is encoded.
struct Sending(ServerHandle, ClientHandle);

impl Serialize for Sending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.broadcast_raw("inner", &"of it").unwrap();
        self.1.send_raw("inner", &"of it").unwrap();
        serializer.serialize_str("outer")
    }
}

/// Counts how often it is encoded.
struct Counting(AtomicUsize);

impl Serialize for Counting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.fetch_add(1, Ordering::Relaxed) as u64)
    }
}

#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "note"]
struct Note(u64);

support::both_flavours! {
    async fn send_message_without_json_form_returns_error() {
        let mut pair = Pair::new().await;
        for error in pair.send_errors(&HashMap::from([((1, 2), 3)])) {
            let SendError::Encode { topic, cause: source } = error else { panic!("{error:?}") };
            assert_eq!((topic.as_str(), source.to_string().contains("key must be a string")), ("x", true));
        }
        for error in pair.send_errors(&("a", Failing)) {
            let SendError::Encode { cause: source, .. } = error else { panic!("{error:?}") };
            assert!(source.to_string().contains("does not want to"), "{source}");
        }
        pair.nothing_was_written().await;
        assert!(pair.errors.rest().is_empty(), "an error that the caller gets was reported, too");
    }

    async fn send_serialize_panics_returns_error_and_is_reported() {
        let mut pair = Pair::new().await;
        for error in pair.send_errors(&Panicking) {
            assert!(matches!(&error, SendError::EncodePanicked { topic, panic } if topic == "x" && panic == "in the middle"));
        }
        let reported = Error::SerializePanicked { topic: "x".into(), panic: "in the middle".into() }.to_string();
        assert_eq!(pair.errors.rest(), [&*reported, &*reported, &*reported]);
        pair.nothing_was_written().await;
    }

    async fn send_raw_value_with_line_breaks_stays_one_line() {
        let mut pair = Pair::new().await;
        let raw = RawValue::from_string("[1,\n\r\n {\"a\":\n\"b\"}\n]".into()).unwrap();
        let line = pair.written(&raw).await;
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["message"], serde_json::json!([1, {"a": "b"}]));
        pair.nothing_was_written().await;
    }

    async fn send_nan_or_infinity_error_names_the_field() {
        let mut pair = Pair::new().await;
        for (number, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "infinity"), (f64::NEG_INFINITY, "-infinity")] {
            let message = serde_json::json!({"name": "a"});
            for error in pair.send_errors(&HashMap::from([("points", [(message, Some(number))])])) {
                let expected = "cannot encode a message of `x`: points[0][1] is";
                assert_eq!(error.to_string(), format!("{expected} {name}, which JSON cannot represent"));
            }
        }
        let id = pair.server.clients()[0];
        let error = pair.server.send_raw_async("x", &f64::NAN, id).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot encode a message of `x`: the message is NaN, which JSON cannot represent");
        assert!(matches!(pair.client.send_raw_async("x", &f64::NAN).await, Err(SendError::Encode { .. })));
        assert!(matches!(pair.server.broadcast_raw_async("x", &f64::NAN).await, Err(SendError::Encode { .. })));
        let request = pair.client.request_raw("x", &f64::NAN).await;
        assert!(matches!(request, Err(RequestError::Send(SendError::Encode { .. }))), "{request:?}");
        pair.nothing_was_written().await;
        assert_eq!(pair.written(&(None::<f64>, 1.5)).await, r#"{"topic":"x","message":[null,1.5]}"#);
    }

    async fn error_text_states_the_cause_once() {
        let nowhere = Place::new();
        let client = Client::builder(nowhere.socket()).give_up_after(2).reconnect_delay(std::time::Duration::ZERO)
            .retry_delay(std::time::Duration::ZERO).build();
        let gave_up = client.connect().await.unwrap_err();
        let path = nowhere.socket().display().to_string();
        let why = format!("cannot connect to {path}: No such file or directory (os error 2)");
        assert_eq!(gave_up.to_string(), format!("gave up after 2 attempts: {why}"));
        let pair = Pair::new().await;
        let send = pair.client.send_raw("x", &("a", Failing)).unwrap_err();
        assert_eq!(send.to_string(), "cannot encode a message of `x`: does not want to");
        let missing = nowhere.socket().join("missing");
        let listen = Server::new(missing.join("s.sock")).listen().await.unwrap_err();
        assert!(listen.to_string().contains(&format!("the directory {} does not exist", missing.display())), "{listen}");
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let accept = Error::Accept { path: nowhere.socket(), cause: denied() };
        let remove = Error::Remove { path: nowhere.socket(), cause: denied() };
        let closed = Error::GaveUp(Client::new("").connect().await.unwrap_err());
        for error in [&gave_up as &dyn std::error::Error, &send, &listen, &accept, &remove, &closed] {
            let text = error.to_string();
            assert!(text.contains(": "), "{text} does not state its cause");
            let mut cause = error.source();
            while let Some(found) = cause {
                assert!(!text.contains(&found.to_string()), "{text} has its cause twice: {found}");
                cause = found.source();
            }
        }
    }

    async fn send_inside_serialize_sends_both() {
        let mut pair = Pair::new().await;
        let sending = Sending(pair.server.handle(), pair.client.handle());
        pair.server.broadcast_raw("x", &sending).unwrap();
        for peer in [&mut pair.of_server, &mut pair.of_client] {
            assert_eq!(peer.line().await, r#"{"topic":"inner","message":"of it"}"#);
        }
        assert_eq!(pair.of_server.line().await, r#"{"topic":"x","message":"outer"}"#);
        pair.client.send_raw("x", &sending).unwrap();
        for peer in [&mut pair.of_server, &mut pair.of_client] {
            assert_eq!(peer.line().await, r#"{"topic":"inner","message":"of it"}"#);
        }
        assert_eq!(pair.of_client.line().await, r#"{"topic":"x","message":"outer"}"#);
    }

    async fn send_message_over_limit_returns_too_large() {
        let mut pair = Pair::new().await;
        let text = |len: usize| "x".repeat(len - r#"{"topic":"x","message":""}"#.len());
        for len in [99_999, 100_000] {
            assert_eq!(pair.written(&text(len)).await.len(), len);
        }
        for error in pair.send_errors(&text(100_001)) {
            let SendError::TooLarge { topic, size, limit } = error else { panic!("{error:?}") };
            assert_eq!((topic.as_str(), size, limit), ("x", 100_001, 100_000));
        }
        let topic = "t".repeat(257);
        let error = pair.client.send_raw(&topic, &1).unwrap_err();
        let SendError::TopicTooLong { topic, size, limit } = error else { panic!("{error:?}") };
        assert_eq!((topic.len(), size, limit), (256, 257, 256));
        pair.nothing_was_written().await;
    }

    async fn send_deep_tree_returns_error() {
        let mut pair = Pair::new().await;
        let mut tree = Value::Null;
        for _ in 0..127 {
            tree = Value::Array(vec![tree]);
        }
        assert_eq!(pair.written(&tree).await.matches('[').count(), 127);
        for _ in 127..3_000 {
            tree = Value::Array(vec![tree]);
        }
        for error in pair.send_errors(&tree) {
            let SendError::Encode { cause: source, .. } = error else { panic!("{error:?}") };
            assert!(source.to_string().contains("nested deeper than 127"), "{source}");
        }
        pair.nothing_was_written().await;
    }

    async fn broadcast_encodes_once() {
        let mut pair = Pair::new().await;
        let mut others = Vec::new();
        for _ in 0..4 {
            others.push(RawPeer::connect(pair.places[0].socket()).await);
        }
        pair.connections.take(4).await;
        let message = Counting(AtomicUsize::new(0));
        assert_eq!(pair.server.broadcast_raw("x", &message).unwrap(), 5);
        assert_eq!(message.0.load(Ordering::Relaxed), 1);
        for peer in others.iter_mut().chain([&mut pair.of_server]) {
            assert_eq!(peer.line().await, r#"{"topic":"x","message":0}"#);
        }
        assert!(pair.server.broadcast_raw("x", &Failing).is_err());
        let first = pair.server.clients()[0];
        assert_eq!(pair.server.broadcast_except(&Note(7), first).unwrap(), 4);
        for peer in &mut others {
            assert_eq!(peer.line().await, r#"{"topic":"note","message":7}"#);
        }
        pair.nothing_was_written().await;
    }

    async fn send_to_absent_client_returns_unknown_client() {
        let mut pair = Pair::new().await;
        let mut closed_ids = Events::new();
        let report = closed_ids.reporter();
        pair.server.on_connection_close(move |id, _| report(id));
        let first = pair.server.clients()[0];
        pair.of_server.stream = tokio::net::UnixStream::pair().unwrap().0;
        assert_eq!(closed_ids.next().await, first);
        let unknown = |error| matches!(error, SendError::UnknownClient { topic, client_id } if topic == "note" && client_id == first);
        assert!(unknown(pair.server.send(&Note(1), first).unwrap_err()));
        assert!(unknown(soon("the reply", pair.server.send_async(&Note(1), first)).await.unwrap_err()));
        assert_eq!(pair.server.broadcast(&Note(1)).unwrap(), 0);
        assert!(!pair.server.disconnect(first));
        assert!(pair.server.peer(first).is_none());

        pair.server.close().await;
        let path = pair.places[0].socket();
        let closed = |error| matches!(error, SendError::Closed { path: of, .. } if of == path);
        assert!(closed(pair.server.send(&Note(1), first).unwrap_err()));
        assert!(closed(pair.server.broadcast(&Note(1)).unwrap_err()));
        assert!(closed(soon("the reply", pair.server.broadcast_async(&Note(1))).await.unwrap_err()));
        pair.client.close().await;
        assert!(matches!(pair.client.send(&Note(1)).unwrap_err(), SendError::Closed { .. }));
        assert!(matches!(soon("the reply", pair.client.send_async(&Note(1))).await.unwrap_err(), SendError::Closed { .. }));
    }

    async fn send_without_connection_returns_not_connected() {
        let place = Place::new();
        let client = Client::new(place.socket());
        assert!(matches!(client.send(&Note(1)).unwrap_err(), SendError::NotConnected { topic, .. } if topic == "note"));
        assert!(matches!(client.send_async(&Note(1)).await.unwrap_err(), SendError::NotConnected { .. }));
        assert!(client.flush().await.is_err());
        let mut lost = Events::new();
        let report = lost.reporter();
        client.on_disconnect(move |_| report(()));
        let listener = UnixListener::bind(place.socket()).unwrap();
        client.connect().await.unwrap();
        assert!(client.is_connected());
        drop((listener.accept().await.unwrap(), listener));
        lost.next().await;
        assert!(!client.is_connected());
        assert!(matches!(client.send(&Note(1)).unwrap_err(), SendError::NotConnected { .. }));
        assert!(client.flush().await.is_err());
    }
}
