//! Servers that describe themselves, and servers that do not.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::description::{DESCRIBE, Description, Direction, STATS, TopicDescription};
use socket_ipc::{Client, Protocol, RegisterError, RequestError, Server, Stats, Topic, Wire, limits};
use support::{Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    text: &'m str,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "how many", reply = usize)]
struct HowMany;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "count again", reply = "Count", reply_topic = "count")]
struct CountAgain;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "count"]
struct Count(usize);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = usize)]
struct Numbers;

#[derive(Protocol)]
#[protocol(to_server(Hello, Log<'_>, HowMany, Numbers), to_client(Log<'_>, CountAgain))]
struct Chat;

/// A topic written by hand, with nothing for the description.
struct ByHand;

impl Topic for ByHand {
    const NAME: &'static str = "by hand";
    type Message<'m> = Self;
}

#[derive(Protocol)]
#[protocol(to_server(ByHand))]
struct OldChat;

/// Of each topic: its name, its direction and the topic of its reply, or `STREAM`.
fn topics(description: &Description) -> Vec<(&str, Direction, Option<&str>)> {
    let topics = description.topics.iter();
    topics
        .map(|topic| {
            let comes_back = if topic.stream { Some(STREAM) } else { topic.reply.as_deref() };
            (&*topic.topic, topic.direction, comes_back)
        })
        .collect()
}

const STREAM: &str = "a stream";

const TO_SERVER: Direction = Direction::TowardServer;
const TO_CLIENT: Direction = Direction::TowardClient;
/// The topics of `Chat`.
const CHAT: [(&str, Direction, Option<&str>); 6] = [
    ("hello", TO_SERVER, None),
    ("log", TO_SERVER, None),
    ("how many", TO_SERVER, Some("how many")),
    ("numbers", TO_SERVER, Some(STREAM)),
    ("log", TO_CLIENT, None),
    ("count again", TO_CLIENT, Some("count")),
];

async fn connected<P>(server: &Server<P>, place: &Place) -> Client {
    server.listen().await.unwrap();
    let client = Client::new(place.socket());
    soon("a connection", client.connect()).await.unwrap();
    client
}

#[test]
fn description_of_protocol_without_server_has_all_topics() {
    let description = Description::of::<Chat>();
    let manifest = include_str!("../../Cargo.toml");
    assert!(manifest.contains(&format!("[workspace.package]\nversion = \"{}\"", description.version)));
    assert_eq!(description.protocol.as_deref(), Some("Chat"));
    assert_eq!(topics(&description), CHAT);
    for topic in &description.topics {
        assert_eq!((&topic.schema, &topic.reply_schema, &topic.error_schema), (&None, &None, &None));
    }
    assert_eq!(topics(&Description::of::<OldChat>()), [("by hand", TO_SERVER, None)]);
}

#[test]
fn description_unknown_fields_are_ignored_absent_ones_left_out() {
    let mut description = Description::of::<OldChat>();
    let text = serde_json::to_value(&description).unwrap();
    assert_eq!(text["topics"], json!([{"topic": "by hand", "direction": "to_server"}]));
    assert_eq!(serde_json::from_value::<Description>(text.clone()).unwrap(), description);

    let mut later = text;
    later["weather"] = json!("fine");
    later["topics"][0]["since"] = json!("1.2");
    later.as_object_mut().unwrap().remove("protocol");
    description.protocol = None;
    assert_eq!(serde_json::from_value::<Description>(later).unwrap(), description);
}

support::both_flavours! {
    async fn describe_not_enabled_returns_no_responder() {
        let place = Place::new();
        let client = connected(&Server::new(place.socket()), &place).await;
        drop(client);

        let server = Chat::server(place.socket()).build();
        let client = connected(&server, &place).await;
        let error = soon("a reply", client.describe_server()).await.unwrap_err();
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == DESCRIBE), "{error}");
        // Then the topic is like any other.
        server.respond_raw(DESCRIBE, Some("mine"), |_, _| Ok("any message")).unwrap();
        let mine = soon("a reply", client.request_raw(DESCRIBE, &())).await.unwrap();
        assert_eq!(mine.as_str(), r#""any message""#);
    }

    async fn describe_server_with_protocol_has_all_topics() {
        let place = Place::new();
        let server = Chat::server(place.socket())
            .describe()
            .max_message_len(5000)
            .max_topic_len(50)
            .build();
        server.on::<Hello>(|_, _| {});
        server.on_topic("weather", |_, _| {});
        let client = connected(&server, &place).await;
        let description = soon("the description", client.describe_server()).await.unwrap();
        assert_eq!(description.version, Description::new().version);
        assert_eq!(description.protocol.as_deref(), Some("Chat"));
        assert_eq!((description.limits.max_message_len, description.limits.max_topic_len), (5000, 50));
        assert_eq!((&*description.wire.delimiter, &*description.wire.message_key), ("\n", "message"));
        let (chat, beyond) = topics(&description).into_iter().partition::<Vec<_>, _>(|it| it.0 != "weather");
        assert_eq!(chat, CHAT);
        assert_eq!(beyond, [("weather", TO_SERVER, None)]);
        // A client with the protocol may send the request, too, though the protocol lacks it.
        let client = Chat::client(place.socket()).build();
        soon("a connection", client.connect()).await.unwrap();
        assert_eq!(soon("the description", client.describe_server()).await.unwrap(), description);
    }

    async fn describe_server_without_protocol_has_topics_listened_for() {
        let place = Place::new();
        let server = Server::builder(place.socket()).describe().build();
        let client = connected(&server, &place).await;
        let describe = || async { soon("the description", client.describe_server()).await.unwrap() };
        assert_eq!(topics(&describe().await), []);

        server.on_message(|_, _, _| {});
        server.on_fallback(|_, _, _| {});
        let hello = server.on::<Hello>(|_, _| {});
        server.on_async::<Count>(|_, _| async {});
        let _subscription = server.subscribe::<Count>();
        server.on_topic("weather", |_, _| {});
        server.respond_raw("length", Some(""), |_, _| Ok(0)).unwrap();
        server.respond_raw("size", None, |_, _| Ok(0)).unwrap();
        server.respond_async::<CountAgain>(|_, _| async { Count(0) }).unwrap();
        let how_many = server.respond::<HowMany>(|_, _| 0).unwrap();
        server.respond_stream::<Numbers>(|_, _| futures::stream::iter([1, 2])).unwrap();
        server.respond_stream_raw("tail", |_, _| futures::stream::empty::<Result<(), _>>()).unwrap();
        let description = describe().await;
        assert_eq!(description.protocol, None);
        assert_eq!(description.limits.max_message_len, limits::MESSAGE_LEN);
        let all = [
            ("count", TO_SERVER, None),
            ("count again", TO_SERVER, Some("count")),
            ("hello", TO_SERVER, None),
            ("how many", TO_SERVER, Some("how many")),
            ("length", TO_SERVER, Some("none")),
            ("numbers", TO_SERVER, Some(STREAM)),
            ("size", TO_SERVER, Some("size")),
            ("tail", TO_SERVER, Some(STREAM)),
            ("weather", TO_SERVER, None),
        ];
        assert_eq!(topics(&description), all);

        assert!(server.off(hello) && server.off(how_many));
        assert_eq!(topics(&describe().await), [&all[..2], &all[4..]].concat());
    }

    async fn describe_as_given_topics_come_first_limits_are_its_own() {
        let place = Place::new();
        let mut given = Description::new();
        given.version = "another version".to_owned();
        let mut hello = TopicDescription::new("hello", TO_SERVER);
        hello.schema = Some(json!({"type": "object"}));
        given.topics = vec![hello, TopicDescription::new("weather", TO_CLIENT)];
        let server = Server::builder(place.socket()).describe_as(given.clone()).max_topic_len(100).build();
        server.on::<Hello>(|_, _| {});
        server.on_topic("weather", |_, _| {});
        let client = connected(&server, &place).await;
        let description = soon("the description", client.describe_server()).await.unwrap();
        assert_eq!(description.version, Description::new().version);
        assert_eq!(description.limits.max_topic_len, 100);
        assert_eq!(description.topics[..2], given.topics);
        assert_eq!(topics(&description)[2..], [("weather", TO_SERVER, None)]);
    }

    async fn stats_request_describe_enabled_returns_stats() {
        let place = Place::new();
        let server = Chat::server(place.socket()).describe().build();
        server.on::<Hello>(|_, _| {});
        let client = connected(&server, &place).await;
        client.send_raw("hello", &json!({"name": "crussell52"})).unwrap();
        let stats = soon("the stats", client.request_raw(STATS, &())).await.unwrap();
        let stats: Stats = stats.decode().unwrap();
        assert_eq!((stats.open_connections, stats.topics[0].received.messages), (1, 1), "{stats:?}");
        assert!(server.stats().topics.iter().any(|topic| topic.topic == STATS && topic.sent.messages == 1));

        let place = Place::new();
        let server = Chat::server(place.socket()).build();
        let client = connected(&server, &place).await;
        let error = soon("the error reply", client.request_raw(STATS, &())).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn describe_enabled_own_responder_returns_error() {
        let place = Place::new();
        let server = Server::builder(place.socket()).describe().build();
        let RegisterError::AlreadyRegistered { topic, .. } =
            server.respond_raw(DESCRIBE, Some("mine"), |_, _| Ok(())).unwrap_err() else { panic!("not taken") };
        assert_eq!(topic, DESCRIBE);
        // A listener is no responder: it may be registered.
        server.on_topic(DESCRIBE, |_, _| {});
        let client = connected(&server, &place).await;
        assert_eq!(topics(&soon("the description", client.describe_server()).await.unwrap()), []);
    }

    async fn describe_request_without_id_is_replied_to_by_a_message() {
        for (wire, key) in
            [(Wire::JSON_LINES, "message"), (Wire::NODE_0_4, "message"), (Wire::NODE_0_1, "data")]
        {
            let place = Place::new();
            let server = Chat::server(place.socket()).wire(wire).describe().build();
            server.listen().await.unwrap();
            let mut peer = RawPeer::connect(place.socket()).await;
            // With a number, without one, and without a message, which is how Node sends `undefined`.
            for request in [
                format!(r#"{{"topic":"socket-ipc.describe","{key}":null,"id":7}}"#),
                format!(r#"{{"topic":"socket-ipc.describe","{key}":{{"any":"thing"}}}}"#),
                r#"{"topic":"socket-ipc.describe"}"#.to_owned(),
            ] {
                peer.write(format!("{request}{}", wire.delimiter())).await;
                let reply = peer.until(wire.delimiter().as_bytes()).await.expect("a reply");
                let reply: Value = serde_json::from_slice(&reply).unwrap();
                assert_eq!(reply["topic"], DESCRIBE);
                assert_eq!(reply.get("re").and_then(Value::as_u64), request.contains("\"id\"").then_some(7));
                let description: Description = serde_json::from_value(reply[key].clone()).unwrap();
                assert_eq!((&*description.wire.delimiter, &*description.wire.message_key), (wire.delimiter(), key));
                assert_eq!(topics(&description), CHAT);
            }
        }
    }
}
