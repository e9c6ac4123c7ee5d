//! What goes to standard output: lines for people on a terminal, JSON lines anywhere else.
//!
//! Nothing else writes there, and [`Output`] has no place for text that would reach a terminal unescaped.

use std::io::{self, ErrorKind, IsTerminal, Write};

use jiff::{Timestamp, ZonedDateTime};
use serde::Serialize;
use serde_json::value::RawValue;
use socket_ipc::{ClientId, RawMessage};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::paint::{self, Shown};

/// What reads the output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    Program,
    Person { colours: bool },
}

impl Reader {
    /// What reads standard output.
    pub(crate) fn find() -> Self {
        if !io::stdout().is_terminal() {
            return Self::Program;
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let colours = set("NO_COLOR").is_none() && set("TERM").is_none_or(|terminal| terminal != "dumb");
        Self::Person { colours }
    }

    /// One message as a line, with its end.
    fn message(self, client_id: Option<ClientId>, topic: &str, message: &RawMessage<'_>) -> Output {
        let Self::Person { colours } = self else {
            return Output::ForPrograms(json_line(client_id, topic, message));
        };
        let mut line = Shown::new(colours);
        line.put_styled(ZonedDateTime::now().strftime("%H:%M:%S%.3f"), paint::TIME);
        line.put(" ");
        if let Some(id) = client_id {
            line.put_styled(format_args!("client {id}"), paint::CLIENT);
            line.put(" ");
        }
        line.put_topic(topic);
        line.put(" ");
        line.put_json(message.as_str());
        line.end_line();
        Output::ForPeople(line)
    }

    /// JSON alone as a line, with its end.
    pub(crate) fn json(self, text: &str) -> Output {
        match self {
            Self::Program => Output::ForPrograms(paint::json_line(text) + "\n"),
            Self::Person { colours } => {
                let mut line = Shown::new(colours);
                line.put_json(text);
                line.end_line();
                Output::ForPeople(line)
            }
        }
    }

    /// Source text, of lines with their ends.
    pub(crate) fn source(self, text: String) -> Output {
        match self {
            Self::Program => Output::ForPrograms(text),
            Self::Person { .. } => {
                let mut lines = Shown::new(false);
                lines.put_lines(&text);
                Output::ForPeople(lines)
            }
        }
    }
}

/// What is written to standard output.
#[derive(Debug)]
pub(crate) enum Output {
    /// Text whose form a program relies on: it stays as it is, and never reaches a terminal.
    ForPrograms(String),
    ForPeople(Shown),
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

/// Writes it, whole.
fn write(output: &Output) -> io::Result<()> {
    let text = match output {
        Output::ForPrograms(text) => text,
        Output::ForPeople(shown) => shown.as_str(),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// What it means that standard output can't be written: nothing, where no program reads it any longer.
pub(crate) fn unwritten(error: &io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::other(format!("cannot write to standard output: {error}"))),
    }
}

/// Writes one last thing.
pub(crate) fn print(output: &Output) -> Result<(), Failure> {
    write(output).or_else(|error| unwritten(&error))
}

/// Prints messages from inside listeners, and notes when that fails.
#[derive(Debug)]
pub(crate) struct Printer {
    reader: Reader,
    broken: mpsc::Sender<io::Error>,
}

impl Printer {
    /// Returns it, and where it reports why it could not print.
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
