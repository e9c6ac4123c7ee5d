//! The arguments of `bench`, `top` and `man`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueHint;
use clap::{Args, ValueEnum};

use crate::arguments::{Patience, Place, seconds};

pub(crate) const BENCH: &str = "\
It needs a server that sends each message back, such as `serve --echo`, which shall be one of your
own: any other gets messages that it does not know. First it sends one message after the other, each
when the last one is back, and then all of them at once, until the last one is back. In a pipe it
prints one line, its times in microseconds:
  {\"path\":\"/tmp/myApp.sock\",\"size\":128,\"round_trips\":{\"messages\":10000,\"seconds\":0.2,\"rate\":50000.0,
   \"p50\":18.1,\"p90\":21.4,\"p99\":35.2,\"max\":412.0,\"histogram\":[{\"up_to\":16.0,\"messages\":12},…]},
   \"one_way\":{\"messages\":100000,\"seconds\":0.2,\"rate\":500000.0,\"bytes\":88000000.0}}

Example: socket-ipc serve /tmp/bench.sock --echo </dev/null >/dev/null &
         socket-ipc bench /tmp/bench.sock --size 1000";

/// The arguments of `bench`.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) server: Place,
    /// How many round trips to measure; 10 times as many messages go one way
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=10_000_000), default_value = "10000")]
    pub(crate) count: u64,
    /// How long the text in each message is, in bytes
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=1_000_000), default_value = "128")]
    pub(crate) size: u32,
    /// The topic of the messages
    #[arg(long, value_name = "TOPIC", default_value = "bench")]
    pub(crate) topic: String,
    /// How long to wait for a message to come back, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

pub(crate) const TOP: &str = "\
Keys: s sorts by the next column, r reverses, p or the space bar pauses, q or Ctrl-C quits.

It asks the server for its stats, and listens to it as a client. A server that does not describe
itself is shown by what it sends to all its clients. In a pipe each look is a line:
  {\"time\":\"2026-01-31T12:00:00.000Z\",\"up\":true,\"clients\":2,\"received\":9.5,\"sent\":0.0,\"queued\":0,
   \"slow_consumers\":0,\"requests_in_flight\":0,\"streams_in_flight\":0,\"topics\":[{\"topic\":\"news\",\"received\":0.0,\"sent\":9.5,\"bytes\":512.0,\"arrived\":9.5}]}
Rates are messages a second, and bytes a second both ways; what arrived is what reached `top`. It is
not one of the clients, but what is sent to it counts. The topic \"\" is all others together.

Example: socket-ipc top /tmp/myApp.sock
Example: socket-ipc top /tmp/myApp.sock --count 60 | jq -c '[.time, .queued]'";

/// The arguments of `top`.
#[derive(Args, Debug)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) server: Place,
    /// How long to wait between two looks, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub(crate) interval: Duration,
    /// End after so many looks
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: Option<u64>,
    /// The column to sort by
    #[arg(long, value_enum, default_value = "sent")]
    pub(crate) sort: Column,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// A column of `top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    Topic,
    Received,
    Sent,
    Bytes,
    Arrived,
}

pub(crate) const MAN: &str = "\
Example: socket-ipc man ~/.local/share/man/man1 && man socket-ipc";

/// The arguments of `man`.
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The directory to write them to; it is made if it is missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
