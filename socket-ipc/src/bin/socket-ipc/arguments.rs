//! The arguments of the command, and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueHint;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use socket_ipc::Wire;

use crate::arguments_recording::{RECORD, REPLAY, Record, Replay, Selection};
use crate::arguments_watching::{BENCH, Bench, MAN, Man, TOP, Top};
use crate::json::{Envelope, Given};
#[cfg(feature = "nats")]
use crate::nats::Nats;

/// Talk to programs over their Unix sockets: listen to a server, send to it, request of it, or be one.
#[derive(Debug, Parser)]
// The name is fixed: clap would print the name of the called file unescaped.
#[command(name = "socket-ipc", bin_name = "socket-ipc", version, after_help = STATUSES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const STATUSES: &str = "\
Exit status:
  0  well done; also when Ctrl-C, SIGTERM, or the end of the program that reads it ends `listen`,
     `serve`, `record`, `top`, `nodes`, or the stream of a `request`
  1  any other error, such as a server that speaks another wire
  2  a mistake in the arguments
  3  no connection, or it was lost
  4  the server, or NATS, rejected the request
  5  no reply in time, or no node in time

On a terminal output is for people, in colour unless NO_COLOR is set; anywhere else each line
of it is JSON. Each command has an example in its own help.

Example: socket-ipc listen /tmp/myApp.sock";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every message of a server, one a line
    #[command(after_help = with_nats(LISTEN, LISTEN_OVER_NATS))]
    Listen(Listen),
    /// Send a message, or one for each line of standard input
    #[command(after_help = with_nats(SEND, SEND_OVER_NATS))]
    Send(Send),
    /// Send a request to the server, and print its reply, or the items of its stream
    #[command(after_help = with_nats(REQUEST, REQUEST_OVER_NATS))]
    Request(Request),
    /// Be a server: print every message, and broadcast standard input
    #[command(after_help = SERVE)]
    Serve(Serve),
    /// Write every message of a server into a file, with its time
    #[command(after_help = RECORD)]
    Record(Record),
    /// Send the messages of a recording, at its pace
    #[command(after_help = REPLAY)]
    Replay(Replay),
    /// List the topics of a server that describes itself
    #[command(after_help = TOPICS)]
    Topics(Topics),
    /// Print the types of the messages of a server that describes itself
    #[command(after_help = TYPES)]
    Types(Types),
    /// Tell whether a server is alive, and who runs it
    #[command(after_help = STATUS)]
    Status(Status),
    /// List the servers of a domain, which are joined over NATS
    #[cfg(feature = "nats")]
    #[command(after_help = NODES)]
    Nodes(NodesArguments),
    /// Watch the rates of a server's topics, its clients and its queues
    #[command(after_help = TOP)]
    Top(Top),
    /// Measure round trips and the rate of messages to a server that sends each one back
    #[command(after_help = BENCH)]
    Bench(Bench),
    /// Write the man pages of this command into a directory
    #[command(after_help = MAN)]
    Man(Man),
    /// Print the completions of this command for a shell
    #[command(after_help = COMPLETIONS)]
    Completions(Completions),
}

/// The help of a command, with what it does over NATS where this build knows that.
fn with_nats(help: &str, over_nats: &str) -> String {
    if cfg!(feature = "nats") { format!("{help}\n\n{over_nats}") } else { help.to_owned() }
}

const LISTEN_OVER_NATS: &str = "\
Over NATS it prints the broadcasts of all servers of a domain, each with its server as \"node\".
Standard error says how many did not arrive.

Example: socket-ipc listen --nats nats://10.0.0.1:4222 jobs news";

const SEND_OVER_NATS: &str = "\
Over NATS each message goes to one server of the domain that offers its topic; the exit status is 4
if there is none. The next one leaves when a server has acknowledged it. --wait is for a broadcast.

Example: socket-ipc send --nats nats://10.0.0.1:4222 jobs note '{\"text\":\"hello\"}'";

const REQUEST_OVER_NATS: &str = "\
Over NATS a request goes to one server of the domain that offers its topic. Ctrl-C cancels it. It
is lost, with exit status 3, if that server gives no sign of life for 3 seconds.

Example: NATS_USER=me NATS_PASSWORD=secret socket-ipc request --nats nats://10.0.0.1:4222 jobs submit 7";

#[cfg(feature = "nats")]
const NODES: &str = "\
Each server of a domain says once a second that it is there: how many clients it has, which topics
it offers, how many broadcasts it has sent, and its lag: how many broadcasts of the others did not
reach it. This command only reads that, and is no server itself. In a pipe each is a line:
  {\"node\":\"host-a.1f00dcafe0ddba11\",\"name\":\"host-a\",\"up\":true,\"clients\":2,
   \"offers\":[\"submit\"],\"broadcasts\":12,\"lag\":0}

Credentials never stand in a URL, nor passwords and tokens in an argument, where every user of this
machine could see them. Without --user, --creds and --nkey these variables say them: NATS_USER with
NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY (the last two name files). NATS_CA, NATS_CERT and
NATS_KEY are as --tls-ca, --tls-cert and --tls-key.

Example: socket-ipc nodes --nats nats://10.0.0.1:4222 jobs
Example: NATS_CREDS=me.creds socket-ipc nodes --nats tls://nats.example.org jobs --watch | jq .lag";

#[cfg(feature = "nats")]
#[derive(Args, Debug)]
pub(crate) struct NodesArguments {
    /// The name of the domain
    #[arg(value_name = "DOMAIN")]
    pub(crate) domain: String,
    /// How long a server may take to say that it is there, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1.5")]
    pub(crate) timeout: Duration,
    /// Go on, and print each server when it comes, changes or goes
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON on a terminal, too
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[command(flatten)]
    pub(crate) nats: Nats,
}

const LISTEN: &str = "\
It waits for the server, and comes back to it after it was lost; standard error says so.
In a pipe each message is a line:
  {\"time\":\"2026-01-31T12:00:00.000Z\",\"topic\":\"news\",\"message\":{\"text\":\"hello\"}}

Some servers send only to clients that have said what they want. --send says it, over each
connection that is made: a topic, a space and JSON, or an envelope.

Example: socket-ipc listen /tmp/myApp.sock news weather | jq .message
Example: socket-ipc listen /tmp/myApp.sock --send 'enter {\"room\":5}' --send 'name \"shell\"'";

#[derive(Args, Debug)]
pub(crate) struct Listen {
    #[command(flatten)]
    pub(crate) server: Place,
    /// The topics to print: all, unless some are given
    #[arg(value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Send this over each connection, such as 'enter {"room":5}'; may be given several times
    #[arg(long, value_name = "TOPIC JSON")]
    pub(crate) send: Vec<Envelope>,
    /// With --nats: print what is broadcast to this group, in place of what is broadcast to all
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// On a terminal, spread JSON over several lines
    #[arg(long)]
    pub(crate) pretty: bool,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) nats: Nats,
}

const SEND: &str = "\
It ends when all has been written, with exit status 0 whatever wire the server speaks, unless --check
or --wait looks at what it sends. The JSON travels as it is given, whatever its numbers. Without JSON
it sends null, but not where standard input holds, or may come to hold, something that would be
ignored. While it waits, an error reply to the message ends it with exit status 4: an `error` with a
code and a text.

Example: socket-ipc send /tmp/myApp.sock hello '{\"name\":\"shell\"}' --wait greeting
Example: seq 3 | socket-ipc send /tmp/myApp.sock number -
Example: socket-ipc send /tmp/myApp.sock helo --check";

#[derive(Args, Debug)]
pub(crate) struct Send {
    #[command(flatten)]
    pub(crate) server: Place,
    /// The topic to send it under
    pub(crate) topic: String,
    /// The message as JSON, null if it is left out; `-` is one for each line of standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) message: Option<Given>,
    /// First see whether the server has the topic, as it describes itself
    #[arg(long)]
    pub(crate) check: bool,
    /// Then wait for the next message of this topic, and print it
    #[arg(long, value_name = "TOPIC")]
    pub(crate) wait: Option<String>,
    /// How long to wait for it, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) timeout: Duration,
    /// On a terminal, spread JSON over several lines
    #[arg(long)]
    pub(crate) pretty: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) nats: Nats,
}

const REQUEST: &str = "\
The server replies with a responder (`respond`). One that uses the Node library has none:
`send --wait` is for that. The items of a stream are printed as they come, one a line, until it
ends, or Ctrl-C cancels it. An error reply is printed with its data, and the exit status is 4.

Example: socket-ipc request /tmp/myApp.sock add '{\"left\":2,\"right\":3}'
Example: socket-ipc request /tmp/myApp.sock follow '{\"id\":7}' --count 10";

#[derive(Args, Debug)]
pub(crate) struct Request {
    #[command(flatten)]
    pub(crate) server: Place,
    /// The topic of the request
    pub(crate) topic: String,
    /// The request as JSON, null if it is left out; `-` is all of standard input
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) request: Option<Given>,
    /// Cancel a stream after so many items
    #[arg(long, value_name = "ITEMS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// How long the reply, or the start of a stream, may take, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) timeout: Duration,
    /// On a terminal, spread JSON over several lines
    #[arg(long)]
    pub(crate) pretty: bool,
    #[command(flatten)]
    pub(crate) patience: Patience,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    pub(crate) nats: Nats,
}

const SERVE: &str = "\
It prints what it receives as `listen` does, with the number of the client:
  {\"time\":\"2026-01-31T12:00:00.000Z\",\"client\":1,\"topic\":\"hello\",\"message\":{\"name\":\"shell\"}}
Standard error says which clients come and go. Each line of standard input goes to every client. It
is a topic, a space and JSON, or an envelope, which is what `listen` prints:
  news {\"text\":\"hello\"}
  {\"topic\":\"news\",\"message\":{\"text\":\"hello\"}}
It goes on when standard input ends; in the background give it </dev/null. Ctrl-C and SIGTERM
close it, and remove the socket file. It describes itself, and does not print requests for that.

Example: socket-ipc serve /tmp/myApp.sock --echo
Example: socket-ipc listen /tmp/one.sock | socket-ipc serve /tmp/other.sock
Example: socket-ipc serve /tmp/myApp.sock --replay day.jsonl --speed 10 --topic news";

#[derive(Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Send each message back to its client, under its topic
    #[arg(long)]
    pub(crate) echo: bool,
    /// Broadcast the messages of a recording, from when the first client is there
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) replay: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// On a terminal, spread JSON over several lines
    #[arg(long)]
    pub(crate) pretty: bool,
}

const TOPICS: &str = "\
In a pipe each topic is a line, with all that the server says of it:
  {\"topic\":\"add\",\"direction\":\"to_server\",\"reply\":\"sum\",\"schema\":{…},\"reply_schema\":{…}}
A server describes itself where its program says so (`describe`). One that does not is told
by the exit status: 4, or 5 where it is silent.

Example: socket-ipc topics /tmp/myApp.sock";

#[derive(Args, Debug)]
pub(crate) struct Topics {
    #[command(flatten)]
    pub(crate) server: Place,
    /// How long the server may take to describe itself, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

const TYPES: &str = "\
The types are those that the server has schemas for; anything else may be anything. With --client
the file has a client, too, on what the language brings along; make it again when the server changes.

Example: socket-ipc types /tmp/myApp.sock --lang typescript --client > client.ts";

#[derive(Args, Debug)]
pub(crate) struct Types {
    #[command(flatten)]
    pub(crate) server: Place,
    /// The language of the types
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// Add a client, which needs no library, to the file
    #[arg(long)]
    pub(crate) client: bool,
    /// What a client in TypeScript makes of integers; a number is exact up to 2^53, and others are errors
    #[arg(long, value_enum, requires = "client", default_value = "number")]
    pub(crate) integers: IntegersName,
    /// How long the server may take to describe itself, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// The language of the types.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Language {
    Typescript,
    Python,
    JsonSchema,
}

/// What a client makes of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IntegersName {
    Number,
    Bigint,
}

const STATUS: &str = "\
It exits with 0 if the server is alive, with 3 if there is none, if it goes meanwhile, or if it
accepts no client, and with 1 if it speaks another wire. Neither its own connection nor messages
about the server itself count. In a pipe it prints one line, whose description, stats and rates are
null where the server gives none:
  {\"path\":\"/tmp/myApp.sock\",\"alive\":true,\"process\":42,\"program\":\"myApp\",\"user\":1000,
   \"name\":\"me\",\"description\":{…},\"stats\":{…},\"rates\":{\"received\":9.5,\"sent\":0.0}}
Rates are messages a second, between two looks at the metrics.

Example: socket-ipc status /tmp/myApp.sock && echo it is alive";

#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) server: Place,
    /// How long the server may take to describe itself, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2")]
    pub(crate) timeout: Duration,
    /// How long to wait between two looks at the metrics, which rates are made of, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

const COMPLETIONS: &str = "\
Example: source <(socket-ipc completions bash)";

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A socket, and the wire of its server.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// The path of the socket
    #[arg(value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) path: PathBuf,
    /// How messages are written: JSON lines, or as a version of the Node library does
    #[arg(long, value_enum, default_value = "json")]
    wire: WireName,
}

impl Place {
    pub(crate) fn wire(&self) -> Wire {
        self.wire.wire()
    }
}

/// The wires of `--wire`, and their names.
pub(crate) fn wires() -> impl Iterator<Item = (String, Wire)> {
    let name = |wire: &WireName| Some(wire.to_possible_value()?.get_name().to_owned());
    WireName::value_variants().iter().filter_map(move |wire| Some((name(wire)?, wire.wire())))
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WireName {
    Json,
    #[value(name = "node-0.4")]
    Node04,
    #[value(name = "node-0.2")]
    Node02,
    #[value(name = "node-0.1")]
    Node01,
}

impl WireName {
    fn wire(self) -> Wire {
        match self {
            Self::Json => Wire::JSON_LINES,
            Self::Node04 => Wire::NODE_0_4,
            Self::Node02 => Wire::NODE_0_2,
            Self::Node01 => Wire::NODE_0_1,
        }
    }
}

/// How long to wait for a server.
#[derive(Args, Debug)]
pub(crate) struct Patience {
    /// How long an attempt to connect may take, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(crate) connect_timeout: Duration,
    /// Wait for a server that is not there, rather than fail
    #[arg(long)]
    pub(crate) retry: bool,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    number.filter(|time| !time.is_zero()).ok_or_else(|| "expected seconds, such as 10 or 0.5".to_owned())
}
