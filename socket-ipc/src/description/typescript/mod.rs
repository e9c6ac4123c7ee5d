//! TypeScript from JSON schemas. No I/O.
//!
//! It covers the schemas of serde's types in draft 2020-12. Keywords that narrow a type further than TypeScript can are
//! left out.

mod cycles;
mod printer;
mod text;
mod types;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use self::cycles::cycles;
use self::printer::Printer;
use self::text::{comment, quoted};
use self::types::union;
use super::definitions::{Definitions, name_for};
use super::{Description, Direction};
use crate::error::error_reply::ERROR_TOPIC;

/// The names that the file exports beside the types.
const RESERVED: &[&str] =
    &["ToServer", "ToClient", "Replies", "Streams", "Errors", "ReplyTopics", "NodeClient", "TypedClient"];

/// The end of the file.
const WRAPPER: &str = r"
/** The part of the Node library's `Client` that `typed` uses. The library has no types of its own. */
export interface NodeClient {
    send(topic: string, message: unknown): void;
    on(event: string, listener: (message: any) => void): unknown;
}

/** `send` and `on` with the types of the topics above. */
export interface TypedClient {
    send<T extends keyof ToServer>(topic: T, message: ToServer[T]): void;
    on<T extends keyof ToClient>(topic: T, listener: (message: ToClient[T]) => void): void;
}

/** Gives a `Client` of the Node library the types of the topics. Use the `Client` itself for its other events. */
export function typed(client: NodeClient): TypedClient {
    return {
        send: (topic, message) => client.send(topic, message),
        on: (topic, listener) => void client.on(`message.${topic}`, listener),
    };
}
";

/// The schemas of the messages of each topic.
type Topics<'d> = BTreeMap<&'d str, Vec<Value>>;

/// Writes the whole file.
pub(super) fn typescript(description: &Description) -> String {
    let mut definitions = Definitions::new(RESERVED);
    let (mut to_server, mut to_client): (Topics<'_>, Topics<'_>) = Default::default();
    let (mut replies, mut streams): (Topics<'_>, Topics<'_>) = Default::default();
    let (mut errors, mut reply_topics): (Topics<'_>, Topics<'_>) = Default::default();
    let mut errors_to_client = false;
    for topic in &description.topics {
        let (there, back) = match topic.direction {
            Direction::TowardServer => (&mut to_server, &mut to_client),
            Direction::TowardClient => (&mut to_client, &mut to_server),
        };
        let mut add = |schema: &Option<Value>, name: &str| {
            schema.as_ref().map_or(Value::Bool(true), |schema| definitions.add(schema, &name_for(name)))
        };
        there.entry(&topic.topic).or_default().push(add(&topic.schema, &topic.topic));
        // The Node library has no streams, so their lines are no messages of either direction.
        if topic.stream {
            let item = add(&topic.item_schema, &format!("{} item", topic.topic));
            streams.entry(&topic.topic).or_default().push(item);
        }
        let reply_topic = topic.reply.as_ref().filter(|_| !topic.stream);
        let reply = reply_topic.map(|_| add(&topic.reply_schema, &format!("{} reply", topic.topic)));
        if topic.error_schema.is_some() && (topic.stream || reply.is_some()) {
            let error = add(&topic.error_schema, &format!("{} error", topic.topic));
            errors.entry(&topic.topic).or_default().push(error);
        }
        let (Some(reply_topic), Some(reply)) = (reply_topic, reply) else { continue };
        // The Node library has no ids. It gets a reply only as a message of a topic of its own.
        if *reply_topic != topic.topic {
            back.entry(reply_topic).or_default().push(reply.clone());
            reply_topics.entry(&topic.topic).or_default().push(json!({"const": reply_topic}));
            errors_to_client |= topic.direction == Direction::TowardServer;
        }
        replies.entry(&topic.topic).or_default().push(reply);
    }
    if errors_to_client {
        let error_reply = definitions.add(&error_reply(), "ErrorReply");
        to_client.entry(ERROR_TOPIC).or_default().push(error_reply);
    }

    let types = definitions.types();
    let printer = Printer { cycles: cycles(&types) };
    let mut file = String::new();
    let name = description.protocol.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
    comment(
        &mut file,
        "",
        &format!("The topics{name}, as socket-ipc {} describes them.", description.version),
    );
    for (name, schema) in &types {
        file.push('\n');
        printer.declare(&mut file, name, schema);
    }
    for (name, topics, text) in [
        ("ToServer", &to_server, "The messages to the server, by topic."),
        ("ToClient", &to_client, "The messages from the server, by topic."),
        ("Replies", &replies, "The reply to each request, by the topic of the request."),
        ("Streams", &streams, "The items of each stream, by the topic of its request."),
        ("Errors", &errors, "The `data` of the error replies to each request, by the topic of the request."),
        (
            "ReplyTopics",
            &reply_topics,
            "The topic of the reply to each request that may be sent without an `id`.",
        ),
    ] {
        file.push('\n');
        comment(&mut file, "", text);
        let _ = writeln!(file, "export interface {name} {{");
        for (topic, schemas) in topics {
            let types = schemas.iter().map(|schema| printer.type_of(schema, None));
            let _ = writeln!(file, "    {}: {};", quoted(topic), union(types).text);
        }
        file.push_str("}\n");
    }
    file.push_str(WRAPPER);
    file
}

/// The schema of [`ErrorReply`](crate::ErrorReply).
fn error_reply() -> Value {
    json!({
        "description": "Why a request failed: a code for programs, a text for people, and the data of `Errors` where it is there.",
        "type": "object",
        "properties": {"code": {"type": "string"}, "text": {"type": "string"}, "data": true},
        "required": ["code", "text"],
    })
}
