//! How a protocol grows: programs of an old and of a new version of it, either as the server of the other.

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

    /// Expects to grow.
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

/// The protocol as it is now: each change as it should be made, but for that of `order` and `bill`.
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

    /// There was none.
    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "farewell"]
    pub struct Farewell {
        pub name: String,
    }

    /// There was none.
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

/// Longer than any test takes: what fails before it does not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

fn hello() -> new::Hello {
    new::Hello { name: "you".into(), language: "de".into(), age: Some(52) }
}

/// A server and a client of it that is connected.
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
    async fn an_old_server_ignores_what_a_new_client_adds() {
        let (_place, server, client, _) = connected().await;
        let mut heard = Events::new();
        let report = heard.reporter();
        server.on::<old::Hello>(move |hello, _| report(hello));
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();
        client.send(&hello()).unwrap();
        assert_eq!(heard.next().await, old::Hello { name: "you".into() });
        // What the reply lacks has its default.
        let reply = client.request(&new::Add { left: 2, right: 3, more: vec![4] });
        assert_eq!(soon("the sum", reply).await.unwrap(), new::Sum { total: 5, terms: 0 });
    }

    async fn a_new_server_has_defaults_for_what_an_old_client_lacks() {
        let (_place, server, client, client_id) = connected().await;
        let mut heard = Events::new();
        let report = heard.reporter();
        server.on::<new::Hello>(move |hello, _| report(hello));
        server.respond::<new::Add>(|new::Add { left, right, more }, _| {
            new::Sum { total: left + right + more.iter().sum::<i64>(), terms: 2 + more.len() }
        }).unwrap();
        client.send(&old::Hello { name: "you".into() }).unwrap();
        assert_eq!(heard.next().await, new::Hello { name: "you".into(), language: "en".into(), age: None });
        let reply = client.request(&old::Add { left: 2, right: 3 });
        assert_eq!(soon("the sum", reply).await.unwrap(), old::Sum { total: 5 });
        // The client ignores what the server adds.
        let mut heard = Events::new();
        client.on::<old::Hello>(heard.reporter());
        server.send(&hello(), client_id).unwrap();
        assert_eq!(heard.next().await, old::Hello { name: "you".into() });
    }

    async fn a_new_topic_is_unheard_on_an_old_side_and_heard_as_json() {
        let (_place, server, client, client_id) = connected().await;
        let (mut heard, farewell) = (Events::new(), new::Farewell { name: "you".into() });
        let report = heard.reporter();
        server.on::<old::Hello>(move |hello, _| report(format!("server: hello {}", hello.name)));
        let report = heard.reporter();
        server.on_fallback(move |message, topic, client_id| report(format!("server: {client_id} {topic} {message}")));
        let report = heard.reporter();
        client.on::<old::Hello>(move |hello| report(format!("client: hello {}", hello.name)));
        let report = heard.reporter();
        client.on_fallback(move |message, topic| report(format!("client: {topic} {message}")));

        client.send(&farewell).unwrap();
        client.send(&hello()).unwrap();
        assert_eq!(heard.take(2).await, [r#"server: 1 farewell {"name":"you"}"#, "server: hello you"]);
        server.send(&farewell, client_id).unwrap();
        server.send(&hello(), client_id).unwrap();
        assert_eq!(heard.take(2).await, [r#"client: farewell {"name":"you"}"#, "client: hello you"]);
    }

    async fn unheard_is_what_neither_a_type_nor_a_topic_nor_a_responder_takes() {
        let (_place, server, client, _) = connected().await;
        let mut heard = Events::new();
        let report = heard.reporter();
        server.on_message(move |_, topic, _| report(format!("every {topic}")));
        let report = heard.reporter();
        let unheard = server.on_fallback(move |_, topic, _| report(format!("unheard {topic}")));
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
        assert_eq!(heard.rest(), ["every hello", "every mood", "every farewell", "every bill", "every add"]);
        for listener in [typed, raw, responder] {
            assert!(server.off(listener));
        }
        drop(bills);
        let error = soon("the error reply", round()).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        assert_eq!(heard.take(9).await, [
            "every hello", "unheard hello", "every mood", "every farewell", "unheard farewell",
            "every bill", "unheard bill", "every add", "unheard add",
        ]);
        assert!(server.off(unheard));
        drop(round());
        assert_eq!(heard.take(5).await[4], "every add");
        assert!(heard.rest().is_empty());
    }

    async fn a_new_request_to_an_old_side_has_no_responder_and_fails_at_once() {
        let (_place, server, client, client_id) = connected().await;
        let (mut unheard, subtract) = (Events::new(), new::Subtract { left: 3, right: 2 });
        let report = unheard.reporter();
        server.on_fallback(move |message, topic, _| report(format!("server: {topic} {message}")));
        let report = unheard.reporter();
        client.on_fallback(move |message, topic| report(format!("client: {topic} {message}")));
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();

        let error = soon("the error reply", client.request(&subtract)).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "subtract"), "{error:?}");
        assert_eq!(unheard.next().await, r#"server: subtract {"left":3,"right":2}"#);
        let error = soon("the error reply", server.request(&subtract, client_id)).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "subtract"), "{error:?}");
        assert_eq!(unheard.next().await, r#"client: subtract {"left":3,"right":2}"#);
        // So it asks in the old way.
        let reply = client.request(&new::Add { left: 3, right: -2, more: vec![] });
        assert_eq!(soon("the sum", reply).await.unwrap().total, 1);
        // And where both are new, it has its reply.
        client.respond::<new::Subtract>(|new::Subtract { left, right }| new::Difference(left - right)).unwrap();
        assert_eq!(soon("the difference", server.request(&subtract, client_id)).await.unwrap(), new::Difference(1));
    }

    async fn a_new_variant_is_the_other_one_of_an_old_enum() {
        let (_place, server, client, client_id) = connected().await;
        let mut heard = Events::new();
        let report = heard.reporter();
        server.on::<old::Mood>(move |mood, _| report(mood));
        client.send(&new::Mood::Puzzled { by: "versions".into() }).unwrap();
        client.send(&new::Mood::Happy).unwrap();
        assert_eq!(heard.take(2).await, [old::Mood::Unknown, old::Mood::Happy]);
        let mut heard = Events::new();
        client.on::<new::Mood>(heard.reporter());
        server.send(&old::Mood::Happy, client_id).unwrap();
        server.send(&old::Mood::Unknown, client_id).unwrap();
        assert_eq!(heard.take(2).await, [new::Mood::Happy, new::Mood::Unknown]);
    }

    async fn a_new_field_without_a_default_breaks_old_peers_by_its_name_and_nothing_else() {
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
        let error = soon("the error reply", client.request(&old::Order { dish: "dumplings".into() })).await.unwrap_err();
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

    async fn an_envelope_may_grow_too() {
        let (place, server, _client, _) = connected().await;
        let mut heard = Events::new();
        let report = heard.reporter();
        server.on::<old::Hello>(move |hello, _| report(hello.name));
        server.respond::<old::Add>(|old::Add { left, right }, _| old::Sum { total: left + right }).unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"hello\",\"message\":{\"name\":\"you\"},\"priority\":[9]}\n").await;
        assert_eq!(heard.next().await, "you");
        peer.write("{\"topic\":\"add\",\"message\":{\"left\":2,\"right\":3},\"priority\":9,\"id\":1,\"by\":{}}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"sum","message":{"total":5},"re":1}"#);
    }

    async fn error_reply_with_its_key_is_what_older_clients_read_but_for_the_key() {
        let (place, server, _client, _) = connected().await;
        let respond = |old::Add { left, right }, _| match left {
            1 => Err("refused"),
            2 => panic!("on purpose"),
            _ => Ok(old::Sum { total: left + right }),
        };
        server.respond::<old::Add>(respond).unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        for (topic, message, code, text) in [
            ("add", r#"{"left":1,"right":1}"#, "failed", "refused"),
            ("add", r#"{"left":2,"right":1}"#, "panicked", ""),
            ("add", "1", "undecodable", ""),
            ("missing", "1", "no_responder", ""),
        ] {
            peer.write(format!("{{\"topic\":\"{topic}\",\"message\":{message},\"id\":7}}\n")).await;
            let line = peer.line().await;
            // What is there beside the key is the line of the version before it, byte for byte, which passes over keys that it
            // doesn't know.
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

    async fn error_reply_of_older_servers_is_read_without_its_key() {
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
        assert!(matches!(&error, RequestError::Rejected { code, text, .. } if code == "busy" && text == "later"), "{error:?}");
        let error = reply("error", r#"{"code":"no_responder","text":""}"#).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        let error = reply("error", r#"{"code":"panicked","text":""}"#).await.unwrap_err();
        assert!(matches!(error, RequestError::ResponderPanicked { .. }), "{error:?}");
        let error = reply("error", r#"{"code":"undecodable","text":"no"}"#).await.unwrap_err();
        assert!(matches!(&error, RequestError::RequestUndecodable { text, .. } if text == "no"), "{error:?}");
        // Of no form at all, as programs write it by hand.
        let error = reply("error", r#""boom""#).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { code, text, .. } if code == "failed" && text == r#""boom""#), "{error:?}");
        let error = reply("else", r#"{"total":5}"#).await.unwrap_err();
        assert!(matches!(&error, RequestError::UnexpectedTopic { found, .. } if found == "else"), "{error:?}");
        assert_eq!(reply("sum", r#"{"total":5}"#).await.unwrap(), old::Sum { total: 5 });
    }
}
