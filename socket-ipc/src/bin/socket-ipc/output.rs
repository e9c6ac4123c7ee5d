//! What goes to standard output: lines for people on a terminal, JSON lines anywhere else.

use std::io::{self, ErrorKind, IsTerminal, Write};

use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;
use serde_json::value::RawValue;
use socket_ipc::{ClientId, RawMessage};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::paint;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Program,
    Person { colours: bool },
}

impl Reader {
    /// Who reads standard output.
    pub(crate) fn find() -> Self {
        if !io::stdout().is_terminal() {
            return Self::Program;
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let colours = set("NO_COLOR").is_none() && set("TERM").is_none_or(|terminal| terminal != "dumb");
        Self::Person { colours }
    }

    /// One message as a line, with its end.
    fn message(self, client_id: Option<ClientId>, topic: &str, message: &RawMessage<'_>) -> String {
        let Self::Person { colours } = self else { return json_line(client_id, topic, message) };
        let time =
            paint::styled(&ZonedDateTime::now().strftime("%H:%M:%S%.3f").to_string(), paint::TIME, colours);
        let client = client_id.map_or_else(String::new, |id| {
            format!("{} ", paint::styled(&format!("client {id}"), paint::CLIENT, colours))
        });
        let topic = paint::styled(&paint::topic(topic), paint::TOPIC, colours);
        format!("{time} {client}{topic} {}\n", paint::json(message.as_str(), colours))
    }

    /// JSON alone as a line, with its end.
    pub(crate) fn json(self, text: &str) -> String {
        match self {
            Self::Program => paint::json_line(text) + "\n",
            Self::Person { colours } => paint::json(text, colours) + "\n",
        }
    }
}

/// A message as programs read it. The shape is documented in the help of `listen` and `serve`.
#[derive(Serialize)]
struct Line<'m> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<u64>,
    topic: &'m str,
    message: &'m RawValue,
}

fn json_line(client_id: Option<ClientId>, topic: &str, message: &RawMessage<'_>) -> String {
    let text = paint::json_line(message.as_str());
    let null = RawValue::NULL;
    let line = Line {
        time: format!("{:.3}", Timestamp::now()),
        client: client_id.map(ClientId::get),
        topic,
        message: serde_json::from_str(&text).unwrap_or(null),
    };
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// Writes a line, whole.
pub(crate) fn write(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(line.as_bytes())?;
    output.flush()
}

/// What it means that standard output can't be written: nothing, where nobody reads it any longer.
pub(crate) fn unwritten(error: &io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::other(format!("cannot write to standard output: {error}"))),
    }
}

/// Writes one last thing.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    write(line).or_else(|error| unwritten(&error))
}

/// Prints messages from inside listeners, and notes when that fails.
#[derive(Debug)]
pub(crate) struct Printer {
    reader: Reader,
    broken: mpsc::Sender<io::Error>,
}

impl Printer {
    /// Returns it, and where to hear why it could not print.
    pub(crate) fn new() -> (Self, mpsc::Receiver<io::Error>) {
        let (broken, why) = mpsc::channel(1);
        (Self { reader: Reader::find(), broken }, why)
    }

    pub(crate) fn message(&self, client_id: Option<ClientId>, topic: &str, message: &RawMessage<'_>) {
        if let Err(error) = write(&self.reader.message(client_id, topic, message)) {
            // The first one ends the command: there is no need for another.
            let _ = self.broken.try_send(error);
        }
    }
}
