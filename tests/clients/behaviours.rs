//! The table of behaviours: what every client must show, whatever its language.

use serde_json::{Value, json};

/// What a client makes of an integer from 2⁵³ on.
#[derive(Clone, Copy)]
pub(crate) enum Integers {
    /// The same integer.
    Exact,
    /// An error by name, where it is sent and where it is received.
    Refused,
}

/// A row: the name of a behaviour, as a client takes it, and what the client must report.
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    pub(crate) saw: Value,
}

/// What each row is about stands in `program/client.rs`, which is the client in Rust, and in `program/server.rs`.
pub(crate) fn behaviours(integers: Integers) -> Vec<Behaviour> {
    let ordered = json!({"count": 10_000, "in_order": true});
    let values: Value = serde_json::from_str(include_str!("../foreign/clients/values.json")).unwrap();
    let beyond = |digits: &str| match integers {
        Integers::Exact => json!([digits, digits]),
        Integers::Refused => json!(["refused", "refused"]),
    };
    let rows = [
        // 10,000 messages in each direction, in their order.
        ("messages", json!({"sent": ordered, "received": ordered})),
        // 1,000 requests at once, 100 of the server within one of the client's, and a broadcast.
        ("requests", json!({"sums": 1_000, "asked_back": 9_900, "news": "hello, all"})),
        // A typed error with its text, one with a code, and what the library replies; and the client as responder:
        // without one, and with a typed error.
        (
            "errors",
            json!({
                "failed": {"QueueFull": {"max": 100}}, "text": "the queue holds 100 jobs",
                "rejected": ["no_quotient", "it can't be divided by that"],
                "others": ["no_responder", "undecodable", "panicked", "timeout"],
                "client": ["NoResponder", {"Failed": {"error": {"QueueFull": {"max": 7}}, "text": "the queue holds 7 jobs"}}],
            }),
        ),
        // 100 streams of 1,000 items, one of which is not read until the others have ended; and one that fails.
        (
            "streams",
            json!({
                "streams": 100, "items": 100_000, "in_order": true, "slow_was_held": true,
                "failed": {"Stopped": {"at": 3}}, "items_before": 3,
            }),
        ),
        // The server drops the responder of what was given up; the client learns that the server gave up.
        (
            "cancellation",
            json!({
                "dropped": ["request", "timeout", "stream"], "item": "the only item", "responder": "cancelled",
            }),
        ),
        // `kill -9` of the server while a request and a stream are open, and another server.
        (
            "restart",
            json!({
                "item": "the only item", "failed": ["connection_lost", "connection_lost"],
                "events": ["connect", "disconnect", "connect again"], "sum": 5,
            }),
        ),
        // A message of almost the limit of 4 MiB, there and back, and one beyond it.
        ("big", json!({"bytes": 4_194_099, "same": true, "beyond": "too_large", "sum": 5})),
        ("values", values),
        // A lone surrogate is refused by name at both ends, and the connection goes on.
        ("surrogates", json!({"sent": "refused", "received": "refused", "by_name": true, "sum": 5})),
        ("line separators", json!("a\u{2028}b\u{2029}c\u{85}d")),
        // Sent, and received. From 2⁵³ on a `number` of JavaScript stands for several integers.
        (
            "integers",
            json!({
                "9007199254740991": ["9007199254740991", "9007199254740991"],
                "9007199254740992": beyond("9007199254740992"),
                "9007199254740993": beyond("9007199254740993"),
                "-9007199254740992": beyond("-9007199254740992"),
                "18446744073709551616": beyond("18446744073709551616"),
            }),
        ),
        // No server: an error by name, of `connect` and of a request, and an end of the attempts.
        ("absent", json!({"names_the_path": true, "request": "not_connected", "attempts": 3})),
        // A client that speaks JSON lines, and a server that speaks a wire of the Node library.
        ("wrong wire", json!({"request": "timeout"})),
    ];
    rows.into_iter().map(|(name, saw)| Behaviour { name, saw }).collect()
}

/// A server on this wire of the Node library, and a client generated for it: messages whose text holds the delimiters,
/// requests, no streams, and what wraps the Node library.
pub(crate) fn node_wire(wire: &'static str, has_typed: bool) -> Behaviour {
    Behaviour { name: wire, saw: json!({"news": true, "sum": 5, "stream": "no_streams", "typed": has_typed}) }
}
