//! Why the command failed, as one line and an exit status.

use std::error::Error;
use std::fmt::{self, Display};
use std::io::Write;
use std::process::ExitCode;

use socket_ipc::{ErrorReply, ListenError, RawMessage, RequestError, SendError};

use crate::paint::one_line;

/// The exit status of a failure. The help of the command lists the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Other = 1,
    Usage = 2,
    NoConnection = 3,
    Rejected = 4,
    Deadline = 5,
}

#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    text: String,
}

impl Failure {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self::new(Status::Other, text)
    }

    /// Adds to what it says.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.text += more;
        self
    }

    /// Prints the failure on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        say(self);
        ExitCode::from(self.status as u8)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        let status = match error {
            ListenError::InvalidPath { .. } => Status::Usage,
            _ => Status::Other,
        };
        Self::new(status, with_causes(&error))
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        Self::new(status_of_send(&error), with_causes(&error))
    }
}

fn status_of_send(error: &SendError) -> Status {
    match error {
        SendError::NotConnected { .. } | SendError::Closed { .. } => Status::NoConnection,
        _ => Status::Other,
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let data = match &error {
            RequestError::Rejected { reply, .. } => reply.data().map(|data| data.as_str().to_owned()),
            _ => None,
        };
        of_request(error, data)
    }
}

impl From<RequestError<RawMessage<'static>>> for Failure {
    fn from(error: RequestError<RawMessage<'static>>) -> Self {
        let data = match &error {
            RequestError::Failed { error, .. } => Some(error),
            RequestError::Rejected { reply, .. } => reply.data(),
            _ => None,
        };
        let data = data.map(|data| data.as_str().to_owned());
        of_request(error, data)
    }
}

/// The exit status of a request that failed.
pub(crate) fn status_of<E>(error: &RequestError<E>) -> Status {
    match error {
        RequestError::Send(error) => status_of_send(error),
        RequestError::Timeout { .. } => Status::Deadline,
        RequestError::ConnectionLost { .. } => Status::NoConnection,
        // The server closes the connection.
        RequestError::Rejected { reply, .. } if reply.code() == ErrorReply::CLOSING => Status::NoConnection,
        RequestError::NoResponder { .. }
        | RequestError::RequestUndecodable { .. }
        | RequestError::ResponderPanicked { .. }
        | RequestError::Failed { .. }
        | RequestError::Rejected { .. } => Status::Rejected,
        _ => Status::Other,
    }
}

/// `data` is the JSON text of the responder's own error.
fn of_request<E: fmt::Debug + 'static>(error: RequestError<E>, data: Option<String>) -> Failure {
    let status = status_of(&error);
    if let RequestError::Send(error) = error {
        return error.into();
    }
    let text = with_causes(&error);
    Failure::new(
        status,
        match data {
            Some(data) => format!("{text}; its data: {data}"),
            None => text,
        },
    )
}

/// Prints a text on standard error, in one line. A long text is shortened.
pub(crate) fn say(text: impl Display) {
    let line = format!("socket-ipc: {}\n", one_line(text).as_str());
    // If standard error can't be written, there is nowhere to report that.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// An error and its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
