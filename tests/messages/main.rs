//! What is said: messages of every form, length and number, and what describes them.

mod at_once;
mod bounded_bytes;
mod describe;
mod extremes;
mod flood;
mod output;
mod protocol;
mod schema;
mod topic_sets;
mod versions;
mod wires;
