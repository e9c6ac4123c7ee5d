//! Errors that say what happened.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, MessageErrorKind, Server, Topic};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "point"]
struct Point {
    x: f64,
    tags: Vec<String>,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "move", reply = Moved)]
struct Move {
    by: i64,
}

#[derive(Serialize, Deserialize, Debug)]
struct Moved {
    to: i64,
}

support::both_flavours! {
    async fn client_gave_up_error_says_why() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.listen().await.unwrap();
        let soon_again = Duration::from_millis(1);
        let client = Client::builder(place.socket())
            .reconnect_delay(soon_again)
            .retry_delay(soon_again)
            .give_up_after(3)
            .build();
        let mut errors = Events::new();
        let report = errors.reporter();
        client.on_error(move |error| report(error.to_string()));
        client.connect().await.unwrap();
        server.close().await;
        let path = place.socket();
        let why = format!("cannot connect to {}: No such file or directory (os error 2)", path.display());
        assert_eq!(errors.next().await, format!("gave up after 3 attempts: {why}"));
        soon("the end", client.closed()).await;
    }

    async fn message_of_another_type_error_has_its_place_in_the_message() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.on::<Point>(|_, _| panic!("a listener was called"));
        server.respond::<Move>(|Move { by }, _| Moved { to: by }).unwrap();
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report((error.kind().clone(), error.kind().to_string())));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for message in [r#"{"x":"far"}"#, r#"{"x":1.0,"tags":[7]}"#] {
            for line in [
                format!("{{\"topic\":\"point\",\"message\":{message}}}\n"),
                format!("{{\"other\": [1, 2],\"message\": {message}, \"topic\": \"point\"}}\n"),
            ] {
                peer.write(line).await;
                let expected = serde_json::from_str::<Point>(message).err().unwrap();
                let (kind, text) = errors.next().await;
                assert_eq!(text, format!("`point` is not a `Point`: {expected}"));
                let MessageErrorKind::Decode { line, column, type_name, .. } = kind else { panic!("{text}") };
                assert_eq!((line, column, &*type_name), (expected.line(), expected.column(), "Point"));
            }
        }
        peer.write("{\"topic\":\"move\",\"message\":{\"by\":true},\"id\":1}\n").await;
        let expected = serde_json::from_str::<Move>(r#"{"by":true}"#).err().unwrap();
        assert_eq!(errors.next().await.1, format!("`move` is not a `Move`: {expected}"));
        let line = peer.line().await;
        let error = serde_json::from_str::<serde_json::Value>(&line).unwrap();
        assert_eq!(error["message"]["text"], format!("`move` is not a `Move`: {expected}"), "{line}");
    }

    async fn message_missing_error_says_so() {
        let place = Place::new();
        let server = Server::new(place.socket());
        server.on::<Point>(|_, _| panic!("a listener was called"));
        server.respond::<Move>(|Move { by }, _| Moved { to: by }).unwrap();
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.kind().clone()));
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"point\"}\n{\"topic\":\"point\",\"message\":null}\n{\"topic\":\"move\",\"id\":1}\n").await;
        let (topic, type_name) = ("point".to_owned(), "Point".to_owned());
        let kind = errors.next().await;
        assert_eq!(kind, MessageErrorKind::NoMessage { topic, type_name, key: "message" });
        assert_eq!(kind.to_string(), "`point` is not a `Point`: the envelope has no `message`");
        let null = errors.next().await;
        assert!(matches!(&null, MessageErrorKind::Decode { reason, .. } if reason.contains("invalid type: null")), "{null}");
        let text = "`move` is not a `Move`: the envelope has no `message`";
        assert_eq!(errors.next().await.to_string(), text);
        let line = peer.line().await;
        assert!(line.contains(text), "{line}");
    }

    async fn reply_without_message_error_says_so() {
        let place = Place::new();
        let listener = tokio::net::UnixListener::bind(place.socket()).unwrap();
        let client = Client::new(place.socket());
        let (connected, accepted) = tokio::join!(client.connect(), listener.accept());
        connected.unwrap();
        let mut peer = RawPeer::over(accepted.unwrap().0);
        let reply = client.request(&Move { by: 1 });
        assert_eq!(peer.line().await, r#"{"topic":"move","message":{"by":1},"id":1}"#);
        peer.write("{\"topic\":\"move\",\"re\":1}\n").await;
        let error = soon("an error", reply).await.unwrap_err();
        assert_eq!(error.to_string(), "the reply to `move` is not a `Moved`: the envelope has no `message`");
    }
}
