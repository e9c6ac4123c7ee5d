//! What the processes of the tests say to a server that a signal ends.

use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

/// A request that is replied to after some milliseconds, whatever happens meanwhile.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "nap", reply = u64)]
pub struct Nap(pub u64);

/// A request that is replied to as the server begins to close.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "watch", reply = u64)]
pub struct Watch;

/// A request that is never replied to.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "forever", reply = u64)]
pub struct Forever;

/// A stream of numbers that never ends.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "numbers", stream = u64)]
pub struct Numbers;

/// Blocks a thread of the runtime for good.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "block thread"]
pub struct BlockThread;
