//! Where a message arrives: listeners, subscriptions, the latest value, and servers and clients in memory.

mod in_memory;
mod inside_listeners;
mod latest;
mod listeners;
mod panics;
mod stats;
mod subscriptions;
