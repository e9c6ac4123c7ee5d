//! TypeScript from JSON schemas. No I/O.
//!
//! It covers the schemas of serde's types in draft 2020-12. Keywords that narrow a type further than TypeScript can are
//! left out.

pub(super) mod cycles;
mod printer;
mod text;
mod topics;
mod types;

use std::fmt::Write;

use self::cycles::cycles;
use self::printer::Printer;
use self::text::{comment, key, quoted};
use self::topics::{Group, Topics};
use self::types::union;
use super::{Description, Direction, Framing, Integers};

/// The names that the file exports beside the types.
const EXPORTED: &[&str] =
    &["ToServer", "ToClient", "Replies", "Streams", "Errors", "ReplyTopics", "NodeClient", "TypedClient"];

/// The other names that the client declares, and the types that it uses: a type of the same name would hide them.
const OF_CLIENT: &[&str] = &[
    "AbortController",
    "AbortSignal",
    "Arguments",
    "AsyncIterableIterator",
    "BLANK",
    "Buffer",
    "Client",
    "ClientEmitter",
    "ClientEvents",
    "ClientOptions",
    "ConnectOptions",
    "Connection",
    "DELIMITER",
    "Delay",
    "Envelope",
    "ErrorCode",
    "EventEmitter",
    "FailedError",
    "Failure",
    "Flaw",
    "FlawError",
    "Framer",
    "HIGH_WATER",
    "ITEM_COST",
    "IpcError",
    "IteratorResult",
    "JsonReader",
    "LINE_ENDS",
    "LISTENER_TIMEOUT",
    "LONE_SURROGATE",
    "Limits",
    "Listener",
    "MAX_DEPTH",
    "MAX_ID_LEN",
    "MAY_LOSE",
    "Map",
    "NOT_OBJECTS",
    "NodeJS",
    "Owner",
    "Pending",
    "Promise",
    "Queue",
    "READ_AHEAD",
    "REPLY_FACTOR",
    "Record",
    "RejectedError",
    "ReplyStream",
    "RequestOptions",
    "Required",
    "Responder",
    "ResponderContext",
    "Returned",
    "SERVER",
    "Set",
    "StreamLink",
    "StreamOptions",
    "SyntaxError",
    "UTF8",
];

/// The end of the file for the Node library.
const WRAPPER: &str = include_str!("typed.ts");

/// The client. It uses `SERVER`, which the file declares before it.
const CLIENT: &str = include_str!("client.ts");

/// Writes the whole file. It has a client if it says what that makes of integers.
pub(super) fn typescript(description: &Description, client: Option<Integers>) -> String {
    let speaks_node = description.wire.is_of_node();
    let reserved = match client {
        Some(_) => [EXPORTED, OF_CLIENT].concat(),
        None => EXPORTED.to_vec(),
    };
    let topics = Topics::of(description, &reserved, speaks_node);
    let types = topics.definitions.types();
    let is_bigint = client == Some(Integers::Bigint);
    let printer = Printer { cycles: cycles(&types), is_bigint };
    let mut file = String::new();
    head(&mut file, description, client.is_some());
    for (name, schema) in &types {
        file.push('\n');
        printer.declare(&mut file, name, schema);
    }
    interface(&mut file, &printer, "ToServer", &topics.to_server, "The messages to the server, by topic.");
    interface(&mut file, &printer, "ToClient", &topics.to_client, "The messages from the server, by topic.");
    let text = "The reply to each request, by the topic of the request.";
    interface(&mut file, &printer, "Replies", &topics.replies, text);
    let text = "The items of each stream, by the topic of its request.";
    interface(&mut file, &printer, "Streams", &topics.streams, text);
    let text = "The `data` of the error replies to each request, by the topic of the request.";
    interface(&mut file, &printer, "Errors", &topics.errors, text);
    if speaks_node {
        let text = "The topic of the reply to each request that may be sent without an `id`.";
        interface(&mut file, &printer, "ReplyTopics", &topics.reply_topics, text);
        file.push_str(WRAPPER);
    }
    if client.is_some() {
        server(&mut file, description, is_bigint);
        file.push('\n');
        file.push_str(CLIENT);
    }
    file
}

/// What the file is, and what the client imports.
fn head(file: &mut String, description: &Description, has_client: bool) {
    let name = description.protocol.as_deref().map_or_else(String::new, |name| format!(" of `{name}`"));
    let version = &description.version;
    let text = if has_client {
        format!(
            "A client for the topics{name}, as socket-ipc {version} describes them.\n\n\
             Generated: make it again when the server changes. It needs Node 18 or later, and no packages\n\
             but `@types/node` for the compiler."
        )
    } else {
        format!("The topics{name}, as socket-ipc {version} describes them.")
    };
    comment(file, "", &text);
    if has_client {
        file.push_str(
            "\nimport { EventEmitter } from \"node:events\";\nimport * as net from \"node:net\";\n",
        );
    }
}

fn interface(file: &mut String, printer: &Printer, name: &str, topics: &Group<'_>, text: &str) {
    file.push('\n');
    comment(file, "", text);
    if topics.is_empty() {
        let _ = writeln!(file, "export interface {name} {{}}");
        return;
    }
    let _ = writeln!(file, "export interface {name} {{");
    for (topic, schemas) in topics {
        let types = schemas.iter().map(|schema| printer.type_of(schema, None));
        let _ = writeln!(file, "    {}: {};", key(topic), union(types).text);
    }
    file.push_str("}\n");
}

/// What the client knows of its server.
fn server(file: &mut String, description: &Description, is_bigint: bool) {
    let Framing { delimiter, message_key } = &description.wire;
    let [to_server, to_client] =
        [Direction::TowardServer, Direction::TowardClient].map(|it| reply_topics(description, it));
    let _ = write!(
        file,
        "
/** How the server writes messages, and which it takes. */
const SERVER = {{
    /** The bytes behind each message. */
    delimiter: {},
    /** The key of the message in its envelope. */
    messageKey: {},
    /** Whether it knows cancels and streams. The Node library does not. */
    hasControlLines: {} as boolean,
    /** The longest message, in bytes. */
    maxMessageLen: {},
    /** The longest topic, in bytes. */
    maxTopicLen: {},
    /** Whether integers are `bigint`s here. */
    bigint: {is_bigint} as boolean,
    /** The topics of replies to the requests of this client, where they have topics of their own. */
    replyTopics: new Map<string, string>([{to_server}]),
    /** The same of the requests of the server. */
    replyTopicsOfClient: new Map<string, string>([{to_client}]),
}};
",
        quoted(delimiter),
        quoted(message_key),
        !description.wire.is_of_node(),
        description.limits.max_message_len,
        description.limits.max_topic_len,
    );
}

/// The entries of a map: the topics of requests, each with that of its replies, if that is another one.
fn reply_topics(description: &Description, direction: Direction) -> String {
    let requests = description.topics.iter().filter(|topic| topic.direction == direction);
    let entries: Vec<_> = requests
        .filter_map(|topic| {
            let reply = topics::reply_topic(topic).filter(|reply| *reply != topic.topic)?;
            Some(format!("[{}, {}]", quoted(&topic.topic), quoted(reply)))
        })
        .collect();
    entries.join(", ")
}
