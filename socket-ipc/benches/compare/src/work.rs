//! The works that are measured, and the result that every system must compute.

use std::fmt;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Work {
    W1,
    W2,
    W3,
    W3g,
    W3h,
    W3b,
    W4,
    W4m,
    W5,
    Idle,
}

impl Work {
    pub fn describe(self) -> &'static str {
        match self {
            Self::W1 => "one client sends a million small messages; each is decoded and added up",
            Self::W2 => "a small message goes back and forth, 30,000 times",
            Self::W3 => "20,000 small messages are broadcast to 64 clients of one process, each decodes all",
            Self::W3g => "the same, to one group that holds all clients",
            Self::W3h => "the same, to two groups of 32 clients, in turn",
            Self::W3b => "the same, in turn to two groups that both hold all clients",
            Self::W4 => "5,000 texts of 64 KiB with some escapes, one way",
            Self::W4m => "300 texts of 1 MiB with some escapes, one way",
            Self::W5 => "1,000 clients of one process send 100 small messages each",
            Self::Idle => "10,000 connections that say nothing",
        }
    }

    /// Whether the server broadcasts.
    pub fn is_broadcast(self) -> bool {
        matches!(self, Self::W3 | Self::W3g | Self::W3h | Self::W3b)
    }

    /// The unit of the value. More is better, except for bytes.
    pub fn unit(self) -> &'static str {
        match self {
            Self::W1 | Self::W5 => "messages/s",
            Self::W2 => "round trips/s",
            _ if self.is_broadcast() => "deliveries/s",
            Self::W4 | Self::W4m => "MB/s",
            _ => "bytes a connection",
        }
    }

    pub fn clients(self) -> u64 {
        match self {
            _ if self.is_broadcast() => 64,
            Self::W5 => 1_000,
            Self::Idle => 10_000,
            _ => 1,
        }
    }

    /// The number of messages that each client sends or receives.
    pub fn count(self, scale: f64) -> u64 {
        let count = match self {
            Self::W1 => 1_000_000,
            Self::W2 => 30_000,
            Self::W3 | Self::W3g | Self::W3h | Self::W3b => 20_000,
            Self::W4 => 5_000,
            Self::W4m => 300,
            Self::W5 => 100,
            Self::Idle => return 0,
        };
        ((count as f64 * scale) as u64).max(10)
    }

    /// The length of each text, for works that send texts.
    pub fn text_len(self) -> Option<usize> {
        match self {
            Self::W4 => Some(64 * 1024),
            Self::W4m => Some(1024 * 1024),
            _ => None,
        }
    }

    /// The sum over all messages. Each message adds [`Small::adds`] or [`Text::adds`].
    pub fn sum(self, count: u64) -> u64 {
        let numbers = count * count.saturating_sub(1) / 2;
        self.clients() * (numbers + count * self.text_len().unwrap_or(0) as u64)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// `{"topic":"bench","message":{"id":..,"name":"crussell52","value":..}}`, 79 bytes with five digits of each.
#[derive(Topic, Serialize, Deserialize, Clone, Debug)]
#[topic = "bench"]
pub struct Small {
    pub id: u64,
    pub name: String,
    pub value: f64,
}

impl Small {
    pub fn new(id: u64) -> Self {
        Self { id, name: "crussell52".to_owned(), value: id as f64 + 0.5 }
    }

    pub fn adds(&self) -> u64 {
        self.id
    }
}

#[derive(Topic, Serialize, Deserialize, Clone, Debug)]
#[topic = "text"]
pub struct Text {
    pub id: u64,
    pub text: String,
}

impl Text {
    /// With a line break every 100 characters, which JSON escapes.
    pub fn new(len: usize) -> Self {
        Self { id: 0, text: (0..len).map(|at| if at % 100 == 99 { '\n' } else { 'x' }).collect() }
    }

    pub fn adds(&self) -> u64 {
        self.id + self.text.len() as u64
    }
}

/// The sum that an endpoint has computed, sent once at the end.
#[derive(Topic, Serialize, Deserialize, Clone, Copy, Debug)]
#[topic = "reply"]
pub struct Checksum {
    pub sum: u64,
}

/// The result of the measuring process, one line of JSON on standard output.
#[derive(Serialize, Deserialize, Debug)]
pub struct Outcome {
    pub seconds: f64,
    pub sum: u64,
    /// The median round trip, in seconds.
    pub median: Option<f64>,
}

impl Outcome {
    pub fn since(start: Instant, sum: u64) -> Self {
        Self { seconds: start.elapsed().as_secs_f64(), sum, median: None }
    }

    pub fn of_round_trips(start: Instant, sum: u64, mut trips: Vec<Duration>) -> Self {
        trips.sort_unstable();
        let median = trips.get(trips.len() / 2).map(Duration::as_secs_f64);
        Self { median, ..Self::since(start, sum) }
    }

    pub fn say(&self) {
        println!("{}", serde_json::to_string(self).expect("an outcome has a JSON form"));
    }
}

/// Tells the parent process that clients may connect.
pub fn say_ready() {
    println!("ready");
}
