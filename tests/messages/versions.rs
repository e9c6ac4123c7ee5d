//! How a protocol grows: programs of an old and a new version, each as the server of the other.

use std::time::Duration;

use socket_ipc::{Client, ClientId, EnvelopeKind, MessageErrorKind, RequestError, Server, Wire};
use support::{Events, Place, RawPeer, soon};

/// The protocol as it was.
mod old {
    use serde::{Deserialize, Serialize};
    use socket_ipc::Topic;

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "hello"]
    pub struct Hello {
        pub name: String,
    }

    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "add", reply = Sum)]
    pub struct Add {
        pub left: i64,
        pub right: i64,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "sum"]
    pub struct Sum {
        pub total: i64,
    }

    /// Prepared for new variants.
    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "mood"]
    #[serde(tag = "is")]
    pub enum Mood {
        Happy,
        #[serde(other)]
        Unknown,
    }

    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "order", reply = Bill)]
    pub struct Order {
        pub dish: String,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "bill"]
    pub struct Bill {
        pub amount: u32,
    }
}

/// The protocol as it is now. Each change is made as it should be, except those of `order` and `bill`.
mod new {
    use serde::{Deserialize, Serialize};
    use socket_ipc::Topic;

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "hello"]
    pub struct Hello {
        pub name: String,
        #[serde(default = "english")]
        pub language: String,
        // An `Option` needs no `default`.
        pub age: Option<u8>,
    }

    fn english() -> String {
        "en".into()
    }

    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "add", reply = Sum)]
    pub struct Add {
        pub left: i64,
        pub right: i64,
        #[serde(default)]
        pub more: Vec<i64>,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "sum"]
    pub struct Sum {
        pub total: i64,
        #[serde(default)]
        pub terms: usize,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "mood"]
    #[serde(tag = "is")]
    pub enum Mood {
        Happy,
        Puzzled {
            by: String,
        },
        #[serde(other)]
        Unknown,
    }

    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "order", reply = Bill)]
    pub struct Order {
        pub dish: String,
        pub count: u32,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "bill"]
    pub struct Bill {
        pub amount: u32,
        pub currency: String,
    }

    /// New in this version.
    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "farewell"]
    pub struct Farewell {
        pub name: String,
    }

    /// New in this version.
    #[derive(Topic, Serialize, Deserialize)]
    #[topic(name = "subtract", reply = Difference)]
    pub struct Subtract {
        pub left: i64,
        pub right: i64,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "difference"]
    pub struct Difference(pub i64);
}

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

fn hello() -> new::Hello {
    new::Hello { name: "you".into(), language: "de".into(), age: Some(52) }
}

/// A server, and a client that is connected to it.
async fn connected() -> (Place, Server, Client, ClientId) {
    let place = Place::new();
    let server = Server::builder(place.socket()).request_timeout(LONG).build();
    let client = Client::builder(place.socket()).request_timeout(LONG).build();
    let mut connections = Events::new();
    let token = server.on_connection(connections.reporter());
    server.listen().await.unwrap();
    soon("a connection", client.connect()).await.unwrap();
    let client_id = connections.next().await;
    server.off(token);
    (place, server, client, client_id)
}

support::both_flavours! {
    async fn old_server_new_client_ignores_new_fields() {
        let (_place, server, client, _) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<old::Hello>(move |hello, _| report(hello));
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();
        client.send(&hello()).unwrap();
        assert_eq!(received.next().await, old::Hello { name: "you".into() });
        // A field that the reply lacks has its default.
        let reply = client.request(&new::Add { left: 2, right: 3, more: vec![4] });
        assert_eq!(soon("the sum", reply).await.unwrap(), new::Sum { total: 5, terms: 0 });
    }

    async fn new_server_old_client_uses_defaults() {
        let (_place, server, client, client_id) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<new::Hello>(move |hello, _| report(hello));
        server.respond::<new::Add>(|new::Add { left, right, more }, _| {
            new::Sum { total: left + right + more.iter().sum::<i64>(), terms: 2 + more.len() }
        }).unwrap();
        client.send(&old::Hello { name: "you".into() }).unwrap();
        assert_eq!(received.next().await, new::Hello { name: "you".into(), language: "en".into(), age: None });
        let reply = client.request(&old::Add { left: 2, right: 3 });
        assert_eq!(soon("the sum", reply).await.unwrap(), old::Sum { total: 5 });
        // The client ignores the fields that the server adds.
        let mut received = Events::new();
        client.on::<old::Hello>(received.reporter());
        server.send(&hello(), client_id).unwrap();
        assert_eq!(received.next().await, old::Hello { name: "you".into() });
    }

    async fn new_topic_at_old_peer_reaches_the_fallback() {
        let (_place, server, client, client_id) = connected().await;
        let (mut received, farewell) = (Events::new(), new::Farewell { name: "you".into() });
        let report = received.reporter();
        server.on::<old::Hello>(move |hello, _| report(format!("server: hello {}", hello.name)));
        let report = received.reporter();
        server.on_fallback(move |message, topic, client_id| report(format!("server: {client_id} {topic} {message}")));
        let report = received.reporter();
        client.on::<old::Hello>(move |hello| report(format!("client: hello {}", hello.name)));
        let report = received.reporter();
        client.on_fallback(move |message, topic| report(format!("client: {topic} {message}")));

        client.send(&farewell).unwrap();
        client.send(&hello()).unwrap();
        assert_eq!(received.take(2).await, [r#"server: 1 farewell {"name":"you"}"#, "server: hello you"]);
        server.send(&farewell, client_id).unwrap();
        server.send(&hello(), client_id).unwrap();
        assert_eq!(received.take(2).await, [r#"client: farewell {"name":"you"}"#, "client: hello you"]);
    }

    async fn fallback_topic_without_other_listener_is_called() {
        let (_place, server, client, _) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on_message(move |_, topic, _| report(format!("every {topic}")));
        let report = received.reporter();
        let fallback = server.on_fallback(move |_, topic, _| report(format!("fallback {topic}")));
        let typed = server.on::<old::Hello>(|_, _| {});
        server.on_async::<old::Mood>(|_, _| async {});
        let raw = server.on_topic("farewell", |_, _| {});
        let responder = server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();
        let bills = server.subscribe::<old::Bill>();
        let round = || {
            client.send(&hello()).unwrap();
            client.send(&new::Mood::Happy).unwrap();
            client.send(&new::Farewell { name: "you".into() }).unwrap();
            client.send(&old::Bill { amount: 1 }).unwrap();
            client.request(&old::Add { left: 2, right: 3 })
        };

        soon("the sum", round()).await.unwrap();
        assert_eq!(received.rest(), ["every hello", "every mood", "every farewell", "every bill", "every add"]);
        for listener in [typed, raw, responder] {
            assert!(server.off(listener));
        }
        drop(bills);
        let error = soon("the error", round()).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        assert_eq!(received.take(9).await, [
            "every hello", "fallback hello", "every mood", "every farewell", "fallback farewell",
            "every bill", "fallback bill", "every add", "fallback add",
        ]);
        assert!(server.off(fallback));
        drop(round());
        assert_eq!(received.take(5).await[4], "every add");
        assert!(received.rest().is_empty());
    }

    async fn new_request_to_old_peer_fails_at_once_with_no_responder() {
        let (_place, server, client, client_id) = connected().await;
        let (mut fallback, subtract) = (Events::new(), new::Subtract { left: 3, right: 2 });
        let report = fallback.reporter();
        server.on_fallback(move |message, topic, _| report(format!("server: {topic} {message}")));
        let report = fallback.reporter();
        client.on_fallback(move |message, topic| report(format!("client: {topic} {message}")));
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();

        let error = soon("the error", client.request(&subtract)).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "subtract"), "{error:?}");
        assert_eq!(fallback.next().await, r#"server: subtract {"left":3,"right":2}"#);
        let error = soon("the error", server.request(&subtract, client_id)).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "subtract"), "{error:?}");
        assert_eq!(fallback.next().await, r#"client: subtract {"left":3,"right":2}"#);
        // So it sends the request of the old version.
        let reply = client.request(&new::Add { left: 3, right: -2, more: vec![] });
        assert_eq!(soon("the sum", reply).await.unwrap().total, 1);
        // If both ends are new, the request gets its reply.
        client.respond::<new::Subtract>(|new::Subtract { left, right }| new::Difference(left - right)).unwrap();
        assert_eq!(soon("the difference", server.request(&subtract, client_id)).await.unwrap(), new::Difference(1));
    }

    async fn new_variant_at_old_peer_is_serde_other() {
        let (_place, server, client, client_id) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<old::Mood>(move |mood, _| report(mood));
        client.send(&new::Mood::Puzzled { by: "versions".into() }).unwrap();
        client.send(&new::Mood::Happy).unwrap();
        assert_eq!(received.take(2).await, [old::Mood::Unknown, old::Mood::Happy]);
        let mut received = Events::new();
        client.on::<new::Mood>(received.reporter());
        server.send(&old::Mood::Happy, client_id).unwrap();
        server.send(&old::Mood::Unknown, client_id).unwrap();
        assert_eq!(received.take(2).await, [new::Mood::Happy, new::Mood::Unknown]);
    }

    async fn new_field_without_default_is_decode_error_that_names_it() {
        let (_place, server, client, client_id) = connected().await;
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| {
            assert!(matches!(error.kind(), MessageErrorKind::Decode { topic, .. } if topic == "order"), "{error:?}");
            report(error.to_string());
        });
        let report = errors.reporter();
        client.on_message_error(move |error| report(error.to_string()));
        client.on::<new::Bill>(|bill| panic!("{bill:?}"));

        // As a message.
        let orders = server.on::<new::Order>(|order, _| panic!("{} {}", order.count, order.dish));
        client.send(&old::Order { dish: "dumplings".into() }).unwrap();
        let error = errors.next().await;
        assert!(error.contains("missing field `count`"), "{error}");
        server.send(&old::Bill { amount: 42 }, client_id).unwrap();
        let error = errors.next().await;
        assert!(error.contains("missing field `currency`"), "{error}");
        server.off(orders);
        // As a request.
        let responder = server.respond::<new::Order>(|order, _| new::Bill { amount: order.count, currency: "€".into() }).unwrap();
        let error = soon("the error", client.request(&old::Order { dish: "dumplings".into() })).await.unwrap_err();
        assert!(matches!(&error, RequestError::RequestUndecodable { topic, text }
            if topic == "order" && text.contains("missing field `count`")), "{error:?}");
        let error = errors.next().await;
        assert!(error.contains("missing field `count`"), "{error}");
        server.off(responder);
        // As a reply.
        server.respond::<old::Order>(|_, _| old::Bill { amount: 42 }).unwrap();
        let order = new::Order { dish: "dumplings".into(), count: 12 };
        let error = soon("the reply", client.request(&order)).await.unwrap_err();
        assert!(matches!(&error, RequestError::ReplyUndecodable { topic, reason, .. }
            if topic == "order" && reason.contains("missing field `currency`")), "{error:?}");
        // The connection lives.
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();
        let reply = client.request(&old::Add { left: 2, right: 3 });
        assert_eq!(soon("the sum", reply).await.unwrap(), old::Sum { total: 5 });
        assert!(errors.rest().is_empty());
    }

    async fn envelope_with_unknown_keys_is_read() {
        let (place, server, _client, _) = connected().await;
        let mut received = Events::new();
        let report = received.reporter();
        server.on::<old::Hello>(move |hello, _| report(hello.name));
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"hello\",\"message\":{\"name\":\"you\"},\"priority\":[9]}\n").await;
        assert_eq!(received.next().await, "you");
        peer.write("{\"topic\":\"add\",\"message\":{\"left\":2,\"right\":3},\"priority\":9,\"id\":1,\"by\":{}}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"add","message":{"total":5},"re":1}"#);
    }

    async fn error_reply_without_its_key_is_the_older_line() {
        let (place, server, _client, _) = connected().await;
        let respond = |old::Add { left, right }, _| match left {
            1 => Err("not one"),
            2 => panic!("on purpose"),
            _ => Ok(old::Sum { total: left + right }),
        };
        server.respond::<old::Add>(respond).unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for (topic, message, code, text) in [
            ("add", r#"{"left":1,"right":1}"#, "failed", "not one"),
            ("add", r#"{"left":2,"right":1}"#, "panicked", ""),
            ("add", "1", "undecodable", ""),
            ("missing", "1", "no_responder", ""),
        ] {
            peer.write(format!("{{\"topic\":\"{topic}\",\"message\":{message},\"id\":7}}\n")).await;
            let line = peer.line().await;
            // Without the key it is the line of the older version, byte for byte. Older clients ignore unknown keys.
            let (before, behind) = line.split_once(r#","error":true"#).expect("the key");
            let older = format!("{before}{behind}");
            let end = older.strip_prefix(&format!(r#"{{"topic":"error","message":{{"code":"{code}","text":""#)).expect("the form of before");
            let said = end.strip_suffix(r#""},"re":7}"#).expect("the end of before");
            assert!(text.is_empty() || said == text, "{line}");
            let read = Wire::JSON_LINES.decode(line.as_bytes()).unwrap();
            assert_eq!((&*read.topic, read.kind), ("error", EnvelopeKind::Reply(7.into())), "{line}");
            assert_eq!(read.message.as_str(), Wire::JSON_LINES.decode(older.as_bytes()).unwrap().message.as_str());
        }
    }

    async fn error_reply_of_older_server_without_key_is_read() {
        let place = Place::new();
        let listener = tokio::net::UnixListener::bind(place.socket()).unwrap();
        let client = Client::builder(place.socket()).request_timeout(LONG).build();
        soon("a connection", client.connect()).await.unwrap();
        let mut server = RawPeer::over(listener.accept().await.unwrap().0);
        let mut reply = async |topic: &str, message: &str| {
            let reply = client.request(&old::Add { left: 2, right: 3 });
            let line = server.line().await;
            let id = line.rsplit_once(r#""id":"#).unwrap().1.trim_end_matches('}').to_owned();
            server.write(format!("{{\"topic\":\"{topic}\",\"message\":{message},\"re\":{id}}}\n")).await;
            soon("a reply", reply).await
        };
        let error = reply("error", r#"{"code":"busy","text":"later"}"#).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "busy" && reply.text() == "later"), "{error:?}");
        let error = reply("error", r#"{"code":"no_responder","text":""}"#).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        let error = reply("error", r#"{"code":"panicked","text":""}"#).await.unwrap_err();
        assert!(matches!(error, RequestError::ResponderPanicked { .. }), "{error:?}");
        let error = reply("error", r#"{"code":"undecodable","text":"no"}"#).await.unwrap_err();
        assert!(matches!(&error, RequestError::RequestUndecodable { text, .. } if text == "no"), "{error:?}");
        // Not the documented form, as a hand-written program may send.
        let error = reply("error", r#""boom""#).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "failed" && reply.text() == r#""boom""#), "{error:?}");
        assert_eq!(reply("else", r#"{"total":5}"#).await.unwrap(), old::Sum { total: 5 });
        assert_eq!(reply("sum", r#"{"total":5}"#).await.unwrap(), old::Sum { total: 5 });
    }
}
