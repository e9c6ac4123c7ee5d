//! What servers and programs with generated code say to each other in several tests.

#![allow(dead_code)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic = "hello"]
pub struct Hello {
    pub name: String,
    pub mood: Mood,
}

#[derive(JsonSchema, Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "is")]
pub enum Mood {
    Happy,
    Puzzled { by: String },
}

// The Node library gets no reply to it: it names no topic for that.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "submit", reply = Submitted, error = SubmitError)]
pub struct Submit {
    pub command: String,
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub struct Submitted {
    pub id: u64,
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub enum SubmitError {
    QueueFull { max: usize },
}

// The Node library can't request it: it has no streams.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "follow", stream = JobEvent, error = FollowError)]
pub struct Follow {
    pub id: u64,
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub enum JobEvent {
    Started,
    Output(String),
    Ended { status: i32 },
}

#[derive(JsonSchema, Serialize, Deserialize)]
pub enum FollowError {
    NoSuchJob,
}
