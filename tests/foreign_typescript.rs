//! The TypeScript of a description: it compiles for any description, and a program on the Node library that uses it
//! converses with our server.

use std::collections::BTreeSet;
use std::path::Path;

use chat::{Follow, Hello, Mood, Submit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shapes::{every_shape, hostile};
use socket_ipc::description::{Direction, Integers, TopicDescription};
use socket_ipc::{Client, Description, Protocol, Topic, Wire};
use support::foreign::skip;
use support::typescript::TypeScript;
use support::{Events, Place, soon};

#[path = "foreign/chat.rs"]
mod chat;
#[path = "foreign/shapes.rs"]
mod shapes;

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting {
    text: String,
    mood: Mood,
    number: Option<u32>,
}

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "add", reply = u8, reply_topic = "sum")]
struct Add {
    left: u8,
    right: u8,
}

#[derive(Protocol)]
#[protocol(to_server(Hello, Add, Submit, Follow), to_client(Greeting))]
struct Chat;

/// `None` if the compiler can't be installed here; the skip is reported.
async fn typescript(test: &str) -> Option<TypeScript> {
    TypeScript::install(env!("CARGO_TARGET_TMPDIR")).await.map_err(|why| skip(test, &why)).ok()
}

/// Copies a program beside the generated file.
fn put(place: &Place, program: &str) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/typescript");
    std::fs::copy(scripts.join(program), place.directory().join(program)).unwrap();
}

support::both_flavours! {
    async fn typescript_of_running_server_program_converses() {
        let test = "a Node program with generated types";
        let Some(typescript) = typescript(test).await else { return };
        let (place, mut received) = (Place::new(), Events::new());
        let server = Chat::server(place.socket()).wire(Wire::NODE_0_4).describe_as(Chat::schema()).build();
        let (reply, report) = (server.handle(), received.reporter());
        server.on::<Hello>(move |Hello { name, mood }, client_id| {
            report(format!("{name} is {mood:?}"));
            let greeting = Greeting { text: format!("Hello, {name}!"), mood, number: Some(1) };
            reply.send(&greeting, client_id).unwrap();
        });
        server
            .respond::<Add>(|Add { left, right }, _| left.checked_add(right).ok_or("that is too much"))
            .unwrap();
        server.listen().await.unwrap();

        // The types come from the description that the server replies with.
        let client = Client::builder(place.socket()).wire(Wire::NODE_0_4).build();
        soon("a connection", client.connect()).await.unwrap();
        let description = soon("the description", client.describe_server()).await.unwrap();
        std::fs::write(place.directory().join("topics.ts"), description.typescript()).unwrap();
        put(&place, "greet.ts");
        let compiled = typescript.compile(place.directory(), &["greet.ts"]).await;
        assert_eq!(compiled, Ok(()), "{}", description.typescript());

        let program = typescript.start(&place.directory().join("greet.js"), &place.socket());
        let output = soon("the end of the program", program.wait_with_output()).await.unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "5 100\nHello, Node! You are puzzled by types, number 1.\n2 + 3 = 5.0\nerror reply (failed): that is too much\n"
        );
        assert!(output.status.success());
        assert_eq!(received.next().await, r#"Node is Puzzled { by: "types" }"#);
    }
}

/// Runs a test on one flavour of runtime.
fn run(test: impl Future<Output = ()>) {
    support::run(tokio::runtime::Builder::new_current_thread(), test);
}

#[test]
fn typescript_mistakes_do_not_compile() {
    run(async {
        let Some(typescript) = typescript("mistakes with generated types").await else { return };
        let place = Place::new();
        let mut description = Chat::schema();
        description.wire.delimiter = "\0\0".to_owned(); // that of the Node library, which `typed` is for
        std::fs::write(place.directory().join("topics.ts"), description.typescript()).unwrap();
        put(&place, "mistakes.ts");
        let errors = typescript.compile(place.directory(), &["mistakes.ts"]).await.unwrap_err();
        let mistakes = include_str!("foreign/typescript/mistakes.ts").lines().zip(1..);
        for (line, number) in mistakes.skip(1) {
            let is_error = errors.iter().any(|error| error.starts_with(&format!("mistakes.ts({number},")));
            assert_eq!(
                is_error,
                line.ends_with("// mistake"),
                "line {number}: {line}\n{}",
                errors.join("\n")
            );
        }
        assert!(errors.iter().all(|line| !line.starts_with("topics.ts")), "{}", errors.join("\n"));
    });
}

#[test]
fn typescript_of_any_description_compiles() {
    run(async {
        let Some(typescript) = typescript("generated types of every shape").await else { return };
        let (shapes, others) = (every_shape(), hostile());
        let place = Place::new();
        // Named as what the client uses and declares.
        let mut hiding = Description::new();
        let of_client = include_str!("../socket-ipc/src/description/typescript/client.ts");
        let words: BTreeSet<&str> =
            of_client.split(|char: char| !char.is_ascii_alphanumeric() && char != '_').collect();
        for word in
            words.into_iter().filter(|word| word.starts_with(|first: char| first.is_ascii_uppercase()))
        {
            let mut topic = TopicDescription::new(word, Direction::TowardClient);
            topic.schema =
                Some(json!({"title": word, "type": "object", "properties": {"its": {"type": "null"}}}));
            hiding.topics.push(topic);
        }
        let mut node = others.clone();
        node.wire.delimiter = "%EOM%".to_owned();
        let none = Description::new();
        let client = |description: &Description| description.typescript_client(Integers::Number);
        let files = [
            ("shapes.ts", shapes.typescript()),
            ("others.ts", others.typescript()),
            ("none.ts", none.typescript()),
            ("shapes_client.ts", shapes.typescript_client(Integers::Bigint)),
            ("others_client.ts", client(&others)),
            ("node_client.ts", client(&node)),
            ("hiding_client.ts", client(&hiding)),
            ("none_client.ts", client(&none)),
        ];
        for (file, text) in &files {
            std::fs::write(place.directory().join(file), text).unwrap();
        }
        let compiled = typescript.compile(place.directory(), &files.each_ref().map(|(file, _)| *file)).await;
        assert_eq!(compiled, Ok(()), "{}{}", shapes.typescript(), others.typescript());
    });
}
