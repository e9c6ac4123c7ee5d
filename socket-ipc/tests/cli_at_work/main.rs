//! The command `socket-ipc` as whole processes: what records, plays, measures and watches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by them")]

mod bench;
#[path = "../command/mod.rs"]
mod command;
mod record;
mod top;
