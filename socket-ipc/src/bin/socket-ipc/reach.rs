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
use crate::other_wire::OtherWire;
use crate::peer::Peer;

/// How long to wait before the next attempt when the server's backlog is full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(10);

/// A client of the server, and what its connection shows of the server.
pub(crate) struct Reached {
    pub(crate) client: Client,
    /// The peer that listens on the socket, once the client is connected.
    pub(crate) peer: Arc<OnceLock<Peer>>,
    pub(crate) other_wire: OtherWire,
}

/// Makes a client of the server. It gives up after one attempt to connect, unless `--retry` makes it wait for the
/// server.
pub(crate) fn client(server: &Place, patience: &Patience) -> Reached {
    patient(server, patience, true)
}

/// Makes the same client for a command that only sends, and does not wait for what the server says. What it is connected
/// by is the socket itself, to which a slow server may be written more patiently.
pub(crate) fn sending_client(server: &Place, patience: &Patience) -> Reached {
    patient(server, patience, false)
}

fn patient(server: &Place, patience: &Patience, watches: bool) -> Reached {
    let reached = made(server, watches, |builder| {
        let builder = builder.connect_timeout(patience.connect_timeout);
        if patience.retry { builder } else { builder.give_up_after(1) }
    });
    reached.say_what_is_wrong();
    if patience.retry {
        say_what_is_new(&reached.client);
    }
    reached
}

/// Makes a client that connects again and again. Fails if no attempt can succeed.
pub(crate) fn lasting_client(server: &Place) -> Result<Reached, Failure> {
    if let Err(error) = std::os::unix::net::SocketAddr::from_pathname(&server.path) {
        let path = server.path.display();
        return Err(Failure::new(Status::Usage, format!("cannot connect to {path}: {error}")));
    }
    let reached = made(server, true, |builder| builder);
    reached.say_what_is_wrong();
    say_what_is_new(&reached.client);
    Ok(reached)
}

/// Makes a client that connects again and again once it has connected, and says nothing by itself: its command may have
/// the terminal.
pub(crate) fn quiet_client(server: &Place, patience: &Patience) -> Reached {
    made(server, true, |builder| builder.connect_timeout(patience.connect_timeout))
}

/// `watches` is whether the first bytes of the server are judged.
fn made(server: &Place, watches: bool, options: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Reached {
    let other_wire = OtherWire::new(server.wire(), server.path.clone());
    let peer = Arc::new(OnceLock::new());
    let (path, finding, watching) = (server.path.clone(), Arc::clone(&peer), other_wire.clone());
    let connector = move || {
        let (path, finding, watching) = (path.clone(), Arc::clone(&finding), watching.clone());
        async move {
            let stream = connect(&path).await?;
            if let Ok(credentials) = stream.peer_cred() {
                finding.get_or_init(|| Peer::from(credentials));
            }
            Ok(watching.watch(stream))
        }
    };
    let builder = options(Client::builder(&server.path).wire(server.wire()));
    let client = if watches { builder.connector(connector) } else { builder }.build();
    Reached { client, peer, other_wire }
}

impl Reached {
    /// Works with the client until the server turns out to speak another wire.
    pub(crate) async fn or_other_wire<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.other_wire.or(work).await
    }

    /// Reports decode errors on standard error, unless the server turned out to speak another wire, which is said at the
    /// end.
    pub(crate) fn say_what_is_wrong(&self) {
        let other_wire = self.other_wire.clone();
        self.client.on_message_error(move |error| {
            if !other_wire.is_found() {
                say(format_args!("the server sent {error}"));
            }
        });
    }
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            // The error of `connect(2)` for a full backlog.
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_PAUSE).await,
            connected => return connected,
        }
    }
}

/// Reports on standard error why there is no connection, once for each reason.
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

/// The error of the last attempt. A command that makes one attempt reports that error itself.
fn last(error: &ConnectError) -> &ConnectError {
    match error {
        ConnectError::GaveUp { cause, .. } => last(cause),
        other => other,
    }
}

/// Why the system does not connect to a path.
fn explain_io(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
            let missing = directory.filter(|directory| !directory.exists()).unwrap_or(path);
            format!("no server: {} does not exist", missing.display())
        }
        ErrorKind::ConnectionRefused if is_socket(path) => {
            format!("no server: {shown} is the socket of one that is gone")
        }
        // The error of `connect(2)` for a file that is no socket.
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

/// Whether the only problem is that no server runs.
fn may_come(path: &Path, error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.kind() == ErrorKind::ConnectionRefused && is_socket(path)
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// Waits for the end of a connection.
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

    /// Waits for the end of the first connection, and returns its reason. Later calls return the same reason.
    pub(crate) async fn reason(&mut self) -> &CloseReason {
        let first = match self.first.take() {
            Some(first) => first,
            None => match self.ends.recv().await {
                Some(first) => first,
                // The client was dropped, and its connection was never lost.
                None => std::future::pending().await,
            },
        };
        self.first.insert(first)
    }

    /// Waits for the end of the connection, and returns it as a failure: it came too early.
    pub(crate) async fn failure(&mut self) -> Failure {
        Failure::new(Status::NoConnection, format!("lost the server: {}", self.reason().await))
    }
}
