//! What the tests with foreign peers share: peers in other languages, and a conversation with them.
//!
//! A peer is a program in `tests/foreign/` that uses the socket in its own way. It takes commands on standard input,
//! and prints its events and the messages that it receives on standard output, one JSON object a line:
//!
//! | command | what the peer sends |
//! |---|---|
//! | `values` | each of `values` in `speech.json`, under the topic `value` |
//! | `delimiters` | each of `delimiters` in `speech.json`: text that looks like a delimiter, in every place |
//! | `count 0 5000` | `{"n":0,"text":…}` to `{"n":4999,"text":…}` under `count`; [`text`] is the rule for the text |
//! | `big 1048576` | `{"text":…}` under `big`, with a text of this many bytes; [`big`] is the rule for the text |
//! | `missing` | nothing at all, under `missing` |
//! | `none` | a text under the empty topic |
//! | `untopical` | a message that has no topic: not an envelope |
//! | `say topic [1,2]` | a message under a topic, without spaces in either; Node alone has this command |
//! | `close` | nothing: closes its end and, once all is done, exits |
//!
//! | line | when |
//! |---|---|
//! | `{"event":"ready","peer":"…"}` | first, with the peer's name and version |
//! | `{"event":"received","topic":"…","message":…}` | for each message, unchanged |
//! | `{"event":"connect"}`, … | for each event of the library that it uses |
//!
//! Both ends make the messages that they send, and those that they expect, by the same rules. So all messages are
//! compared, not only counted.

mod conversation;
mod older;
mod peer;

use std::io::Write;

use tokio::process::Command;
use tokio::runtime::{Handle, RuntimeFlavor};

pub use conversation::{
    Batch, Conversant, Dialect, Received, all_batches, big, exchange, some_batches, text,
};
pub use older::Older;
pub use peer::{Node, Peer, Role, python, shell};
pub(super) use peer::{install, run};

/// Writes past the capture of the test harness, so that every run shows which peers took part and which were skipped.
pub fn announce(line: &str) {
    let flavour = match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) => "current-thread runtime",
        Ok(_) => "multi-thread runtime",
        Err(_) => "no runtime",
    };
    // In one piece, as tests run side by side.
    let _ = std::io::stderr().write_all(format!("{line} ({flavour})\n").as_bytes());
}

/// Whether a program can be run here. `Err` states why not: one that exists and can't start, like the placeholder of some
/// systems, is not here.
pub async fn is_here(program: &str) -> Result<(), String> {
    let option = match program {
        "socat" => "-V",
        "nc" => "-h",
        _ => "--version",
    };
    run(Command::new(program).arg(option)).await
}

/// Reports that a test did not run. Fails if `CI` is set.
pub fn skip(test: &str, why: &str) {
    if std::env::var_os("CI").is_some_and(|ci| !ci.is_empty()) {
        panic!("{test} can't be skipped, as CI is set: {why}");
    }
    announce(&format!("SKIPPED {test}: {why}"));
}

/// Reports at the end of a test the peer and the number of exchanged messages.
pub fn report(test: &str, peer: &Peer, exchanged: usize) {
    let peer = peer.name();
    assert_ne!(exchanged, 0, "{test}: no message was exchanged with {peer}");
    announce(&format!("{test}: {exchanged} messages exchanged with {peer}"));
}
