//! Reaching a server, and saying why it can't be reached.

use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use socket_ipc::{Client, ClientBuilder, CloseReason, ConnectError};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::arguments::{Patience, Place};
use crate::failure::{Failure, Status, say, with_causes};
use crate::peer::Peer;

/// How long to wait before a connection is tried again that found the server's backlog full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(10);

/// A client of the server there, which does not wait for it for ever.
pub(crate) fn client(server: &Place, patience: &Patience) -> Client {
    patient(builder(server), patience)
}

/// The same, and which peer was found, once it is connected.
pub(crate) fn client_that_asks_who(server: &Place, patience: &Patience) -> (Client, Arc<OnceLock<Peer>>) {
    let found = Arc::new(OnceLock::new());
    let (path, finding) = (server.path.clone(), Arc::clone(&found));
    let connector = move || {
        let (path, finding) = (path.clone(), Arc::clone(&finding));
        async move {
            let stream = connect(&path).await?;
            if let Ok(credentials) = stream.peer_cred() {
                finding.get_or_init(|| Peer::from(credentials));
            }
            Ok(stream)
        }
    };
    (patient(builder(server).connector(connector), patience), found)
}

fn patient(builder: ClientBuilder, patience: &Patience) -> Client {
    let builder = builder.connect_timeout(patience.connect_timeout);
    let client = if patience.retry { builder.build() } else { builder.give_up_after(1).build() };
    if patience.retry {
        say_what_is_new(&client);
    }
    say_what_is_wrong(&client);
    client
}

/// Has standard error say what could not be read: often it is another wire.
pub(crate) fn say_what_is_wrong(client: &Client) {
    client.on_message_error(|error| say(format_args!("the server sent {error}")));
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            // What `connect(2)` says of a full backlog.
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_PAUSE).await,
            connected => return connected,
        }
    }
}

pub(crate) fn builder(server: &Place) -> ClientBuilder {
    Client::builder(&server.path).wire(server.wire())
}

/// Has standard error say why there is no connection, once for each reason.
pub(crate) fn say_what_is_new(client: &Client) {
    let said = Mutex::new(String::new());
    client.on_connect_error(move |error| {
        let text = explain(error);
        let Ok(mut said) = said.lock() else { return };
        if *said != text {
            say(format_args!("{text}; trying again"));
            *said = text;
        }
    });
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let text = explain(&error);
        match last(&error) {
            ConnectError::InvalidPath { .. } => Self::new(Status::Usage, text),
            ConnectError::Io { cause, .. } if cause.kind() == ErrorKind::InvalidInput => {
                Self::new(Status::Usage, text)
            }
            ConnectError::Io { path, cause } if may_come(path, cause) => {
                Self::new(Status::NoConnection, format!("{text}; start it, or wait for it with --retry"))
            }
            _ => Self::new(Status::NoConnection, text),
        }
    }
}

/// Why a connection could not be made.
fn explain(error: &ConnectError) -> String {
    match last(error) {
        ConnectError::Io { path, cause } => explain_io(path, cause),
        ConnectError::Timeout { path, timeout } => {
            let path = path.display();
            format!("the server at {path} took no connection within {timeout:?}: it is stopped, or too busy")
        }
        other => with_causes(other),
    }
}

/// What the last attempt failed of. A single attempt is no giving up.
fn last(error: &ConnectError) -> &ConnectError {
    match error {
        ConnectError::GaveUp { cause, .. } => last(cause),
        other => other,
    }
}

/// Why the system would not connect to a path.
fn explain_io(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound => format!("no server: {shown} does not exist"),
        ErrorKind::ConnectionRefused if is_socket(path) => {
            format!("no server: {shown} is the socket of one that is gone")
        }
        // What `connect(2)` says of a file of another kind.
        ErrorKind::ConnectionRefused => format!("no server: {shown} is not a socket"),
        ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!(
                "user {user} may not connect to {shown}: its mode, or that of a directory above, is in the way"
            )
        }
        _ => format!("cannot connect to {shown}: {error}"),
    }
}

/// Whether it is only that there is no server yet, or no longer.
fn may_come(path: &Path, error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::ConnectionRefused && is_socket(path)
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// The end of a connection, to be waited for.
pub(crate) struct Loss {
    ends: mpsc::UnboundedReceiver<CloseReason>,
    first: Option<CloseReason>,
}

impl Loss {
    pub(crate) fn of(client: &Client) -> Self {
        let (sender, ends) = mpsc::unbounded_channel();
        client.on_disconnect(move |reason| drop(sender.send(reason.clone())));
        Self { ends, first: None }
    }

    /// Waits for the end of the first connection, and gives it again and again.
    pub(crate) async fn reason(&mut self) -> &CloseReason {
        let first = match self.first.take() {
            Some(first) => first,
            None => match self.ends.recv().await {
                Some(first) => first,
                // The client is gone, and its connection was never lost.
                None => std::future::pending().await,
            },
        };
        self.first.insert(first)
    }

    /// Waits for the end of the connection, where it comes too early.
    pub(crate) async fn failure(&mut self) -> Failure {
        Failure::new(Status::NoConnection, format!("lost the server: {}", self.reason().await))
    }
}
