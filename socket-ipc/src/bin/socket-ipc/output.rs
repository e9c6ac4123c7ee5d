//! Standard output: lines for people on a terminal, and JSON lines elsewhere.
//!
//! Nothing else writes to it. [`Output`] can't hold text that would reach a terminal unescaped.

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
        let colours = set("NO_COLOR").is_none() && is_screen();
        Self::Person { colours }
    }

    /// One message as a line, with its newline; `pretty`, its JSON is spread over several lines for people.
    fn message(self, sender: Sender, topic: &str, message: &RawMessage<'_>, pretty: bool) -> Output {
        let Self::Person { colours } = self else {
            return Output::ForPrograms(line_of(sender, topic, message));
        };
        let mut line = Shown::new(colours);
        line.put_styled(ZonedDateTime::now().strftime("%H:%M:%S%.3f"), paint::TIME);
        line.put(" ");
        if let Some(id) = sender.client {
            line.put_styled(format_args!("client {id}"), paint::CLIENT);
            line.put(" ");
        }
        if let Some(node) = sender.node {
            line.put_styled(node, paint::CLIENT);
            line.put(" ");
        }
        line.put_topic(topic);
        line.put(" ");
        line.put_json(message.as_str(), pretty);
        line.end_line();
        Output::ForPeople(line)
    }

    /// JSON as a line, with its newline; `pretty`, it is spread over several lines for people.
    pub(crate) fn json(self, text: &str, pretty: bool) -> Output {
        match self {
            Self::Program => Output::ForPrograms(paint::json_line(text) + "\n"),
            Self::Person { colours } => {
                let mut line = Shown::new(colours);
                line.put_json(text, pretty);
                line.end_line();
                Output::ForPeople(line)
            }
        }
    }

    /// A report: JSON in a line for programs, and text for people.
    pub(crate) fn report(self, report: &impl Serialize, people: impl FnOnce(bool) -> Shown) -> Output {
        match self {
            Self::Program => Output::ForPrograms(serde_json::to_string(report).unwrap_or_default() + "\n"),
            Self::Person { colours } => Output::ForPeople(people(colours)),
        }
    }

    /// Source text, with its newlines.
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
    /// Text for a program. It is written unchanged, and never to a terminal.
    ForPrograms(String),
    ForPeople(Shown),
}

/// The sender of a message, where there are several.
#[derive(Debug, Default, Serialize)]
struct Sender {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// A message for programs. Its shape is documented in the help of `listen` and `serve`.
#[derive(Serialize)]
struct Line<'m> {
    time: String,
    #[serde(flatten)]
    sender: Sender,
    topic: &'m str,
    message: &'m RawValue,
}

/// A message of a server as a line for programs, with its newline.
pub(crate) fn json_line(topic: &str, message: &RawMessage<'_>) -> String {
    line_of(Sender::default(), topic, message)
}

fn line_of(sender: Sender, topic: &str, message: &RawMessage<'_>) -> String {
    let text = paint::json_line(message.as_str());
    let null = RawValue::NULL;
    let line = Line {
        time: format!("{:.3}", Timestamp::now()),
        sender,
        topic,
        message: serde_json::from_str(&text).unwrap_or(null),
    };
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// Writes all of an output.
fn write(output: &Output) -> io::Result<()> {
    write_text(match output {
        Output::ForPrograms(text) => text,
        Output::ForPeople(shown) => shown.as_str(),
    })
}

fn write_text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Whether the terminal can be drawn on, rather than printed on line by line.
pub(crate) fn is_screen() -> bool {
    std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Writes a part of the screen of a terminal. `terminal` alone does, whose texts hold no control characters of others.
pub(crate) fn write_screen(text: &str) -> io::Result<()> {
    write_text(text)
}

/// The width and the height of the terminal.
pub(crate) fn size() -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(io::stdout())?;
    Ok((size.ws_col, size.ws_row))
}

/// The failure to write standard output. It is no failure if no program reads the output any longer.
pub(crate) fn unwritten(error: &io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::other(format!("cannot write to standard output: {error}"))),
    }
}

/// Writes the last output of a command.
pub(crate) fn print(output: &Output) -> Result<(), Failure> {
    write(output).or_else(|error| unwritten(&error))
}

/// Prints messages and items as they come, and notes when that fails.
#[derive(Debug)]
pub(crate) struct Printer {
    reader: Reader,
    pretty: bool,
    broken: mpsc::Sender<io::Error>,
}

impl Printer {
    /// Returns the printer, and the receiver of the error if it can't print.
    pub(crate) fn new() -> (Self, mpsc::Receiver<io::Error>) {
        let (broken, why) = mpsc::channel(1);
        (Self { reader: Reader::find(), pretty: false, broken }, why)
    }

    /// Spreads the JSON of messages and items over several lines, for people only.
    pub(crate) fn pretty(self, pretty: bool) -> Self {
        Self { pretty, ..self }
    }

    pub(crate) fn message(&self, client_id: Option<ClientId>, topic: &str, message: &RawMessage<'_>) {
        let sender = Sender { client: client_id.map(ClientId::get), node: None };
        self.print(&self.reader.message(sender, topic, message, self.pretty));
    }

    /// Prints a broadcast of a node.
    #[cfg(feature = "nats")]
    pub(crate) fn broadcast(&self, node: &impl ToString, topic: &str, message: &RawMessage<'_>) {
        let sender = Sender { client: None, node: Some(node.to_string()) };
        self.print(&self.reader.message(sender, topic, message, self.pretty));
    }

    /// Prints a line: JSON for programs, and for people unless they want JSON, too.
    #[cfg(feature = "nats")]
    pub(crate) fn line(&self, json: &str, always_json: bool, people: impl FnOnce(bool) -> Shown) {
        self.print(&match self.reader {
            Reader::Person { colours } if !always_json => Output::ForPeople(people(colours)),
            reader => reader.json(json, false),
        });
    }

    /// Prints JSON as a line.
    pub(crate) fn json(&self, text: &str) {
        self.print(&self.reader.json(text, self.pretty));
    }

    fn print(&self, output: &Output) {
        if let Err(error) = write(output) {
            // The first error ends the command, so further ones are dropped.
            let _ = self.broken.try_send(error);
        }
    }
}
