//! Descriptions with schemas of messages and replies, with and without a socket.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socket_ipc::description::Direction;
use socket_ipc::{Client, Description, Protocol, Server, Topic, limits};
use support::{Place, soon};

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
    #[serde(default)]
    languages: Vec<String>,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    #[serde(borrow)]
    text: Cow<'m, str>,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "how many", reply = Count)]
struct HowMany;

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "count"]
struct Count {
    #[serde(default)]
    number: u8,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "samples"]
struct Samples<T>(Vec<T>);

#[derive(Protocol)]
#[protocol(to_server(Hello, Log<'_>, HowMany), to_client(Hello, HowMany, Samples<Count>))]
struct Chat;

/// A protocol may lack schemas.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "plain"]
struct Plain;

#[derive(Protocol)]
#[protocol(to_server(Hello, Plain))]
struct Mixed;

/// The required properties of a schema.
fn required(schema: Option<&Value>) -> Option<&Value> {
    schema.expect("a schema").get("required")
}

#[test]
fn protocol_schema_without_socket_has_schemas_of_all_topics() {
    let schema = Chat::schema();
    assert_eq!(schema.protocol.as_deref(), Some("Chat"));
    assert_eq!(schema.limits.max_message_len, limits::MESSAGE_LEN);
    let names = Description::of::<Chat>();
    let without = |description: &Description| {
        let mut description = description.clone();
        for topic in &mut description.topics {
            (topic.schema, topic.reply_schema, topic.error_schema) = (None, None, None);
            topic.item_schema = None;
        }
        description
    };
    assert_eq!(without(&schema), names, "it adds only schemas");
    for topic in &schema.topics {
        let schema = topic.schema.as_ref().expect("a schema");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(topic.reply.is_some(), topic.reply_schema.is_some());
    }
    let log = schema.topic("log", Direction::TowardServer).expect("it travels");
    assert_eq!(log.schema.as_ref().expect("a schema")["properties"], json!({"text": {"type": "string"}}));
    let samples = schema.topic("samples", Direction::TowardClient).expect("it travels");
    assert_eq!(samples.schema.as_ref().expect("a schema")["items"], json!({"$ref": "#/$defs/Count"}));
    assert_eq!(Description::of::<Mixed>().topics.len(), 2);
}

#[test]
fn schema_per_direction_is_for_reading_or_writing() {
    let schema = Chat::schema();
    let [to_server, to_client] = [Direction::TowardServer, Direction::TowardClient];
    let hello = |direction| schema.topic("hello", direction).expect("it travels").schema.as_ref();
    assert_eq!(required(hello(to_server)), Some(&json!(["name"])));
    assert_eq!(required(hello(to_client)), Some(&json!(["name", "languages"])));
    let count = |direction| schema.topic("how many", direction).expect("it travels").reply_schema.as_ref();
    assert_eq!(required(count(to_server)), Some(&json!(["number"])), "the server writes it");
    assert_eq!(required(count(to_client)), None, "the server reads it");
}

#[test]
fn schema_of_request_has_its_reply_topic_and_its_errors() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    enum SubmitError {
        QueueFull {
            #[serde(default)]
            max: usize,
        },
    }

    #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    #[topic(name = "submit", reply = u64, error = SubmitError)]
    struct Submit;

    #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    #[topic(name = "add", reply = u64, reply_topic = "sum")]
    struct Add;

    #[derive(Protocol)]
    #[protocol(to_server(Submit, Add), to_client(Submit))]
    struct Jobs;

    let schema = Jobs::schema();
    let topic = |topic, direction| schema.topic(topic, direction).expect("it travels");
    let [to_server, to_client] = [Direction::TowardServer, Direction::TowardClient];
    assert_eq!(topic("add", to_server).reply.as_deref(), Some("sum"));
    assert_eq!(topic("add", to_server).error_schema, None, "an `ErrorReply` has no data");
    assert_eq!(topic("submit", to_server).reply.as_deref(), Some("submit"));
    for (direction, expected) in [(to_server, json!(["max"])), (to_client, Value::Null)] {
        let submit = topic("submit", direction);
        assert_eq!(submit.reply_schema.as_ref().expect("a schema")["type"], "integer");
        let error = submit.error_schema.as_ref().expect("a schema");
        assert_eq!(error["oneOf"][0]["properties"]["QueueFull"]["required"], expected, "{error}");
    }
}

#[test]
fn schema_of_stream_has_its_items_and_its_errors() {
    #[derive(JsonSchema, Serialize, Deserialize)]
    enum FollowError {
        NoSuchJob,
    }

    #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    #[topic(name = "follow", stream = Count, error = FollowError)]
    struct Follow;

    #[derive(Topic, JsonSchema, Serialize, Deserialize)]
    #[topic(name = "list", stream = T)]
    struct List<T>(Vec<T>);

    #[derive(Protocol)]
    #[protocol(to_server(Follow, List<u8>), to_client(Follow))]
    struct Jobs;

    let schema = Jobs::schema();
    let [to_server, to_client] = [Direction::TowardServer, Direction::TowardClient];
    let topic = |topic, direction| schema.topic(topic, direction).expect("it travels");
    for topic in &schema.topics {
        assert!(topic.stream && topic.reply.is_none() && topic.reply_schema.is_none(), "{topic:?}");
    }
    let items = |direction| topic("follow", direction).item_schema.as_ref();
    assert_eq!(required(items(to_server)), Some(&json!(["number"])), "the server writes them");
    assert_eq!(required(items(to_client)), None, "the server reads them");
    assert_eq!(
        topic("follow", to_server).error_schema.as_ref().expect("a schema")["enum"],
        json!(["NoSuchJob"])
    );
    assert_eq!(topic("list", to_server).item_schema.as_ref().expect("a schema")["type"], "integer");
    assert_eq!(topic("list", to_server).error_schema, None, "an `ErrorReply` has no data");
    let described = Description::new().receives::<Follow>().receives::<List<u8>>().sends::<Follow>();
    assert_eq!(described.topics, schema.topics);
    let written = serde_json::to_value(topic("list", to_server)).unwrap();
    assert_eq!(written["stream"], true);
    assert_eq!(serde_json::to_value(&Chat::schema().topics[0]).unwrap().get("stream"), None);
}

support::both_flavours! {
    async fn describe_server_with_protocol_returns_its_schemas() {
        let place = Place::new();
        let server =
            Chat::server(place.socket()).describe_as(Chat::schema()).max_message_len(100_000).build();
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        soon("a connection", client.connect()).await.unwrap();
        let description = soon("the description", client.describe_server()).await.unwrap();
        assert_eq!(description.topics, Chat::schema().topics);
        assert_eq!(description.limits.max_message_len, 100_000);
        assert_eq!(description.typescript(), Chat::schema().typescript());
        assert_eq!(description.json_schema(), Chat::schema().json_schema());
    }

    async fn describe_server_without_protocol_returns_given_description() {
        let place = Place::new();
        let description = Description::new().receives::<HowMany>().sends::<Log<'_>>().receives::<Hello>().receives::<HowMany>();
        let server = Server::builder(place.socket()).describe_as(description).build();
        server.respond::<HowMany>(|_, _| Count { number: 1 }).unwrap();
        server.on_topic("weather", |_, _| {});
        server.listen().await.unwrap();
        let client = Client::new(place.socket());
        soon("a connection", client.connect()).await.unwrap();
        let description = soon("the description", client.describe_server()).await.unwrap();
        let topics = description.topics.iter();
        let topics: Vec<_> = topics.map(|topic| (&*topic.topic, topic.direction, topic.schema.is_some())).collect();
        assert_eq!(topics, [
            ("how many", Direction::TowardServer, true),
            ("log", Direction::TowardClient, true),
            ("hello", Direction::TowardServer, true),
            ("weather", Direction::TowardServer, false),
        ]);
        assert!(description.topics[0].reply_schema.is_some());
    }
}
