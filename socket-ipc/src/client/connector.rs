//! One attempt to reach the server.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::connection::Transport;
use crate::endpoint::options::ClientOptions;
use crate::error::ConnectError;
use crate::listener::caught;
use crate::unix_socket::socket_file::{missing_directory, no_socket, path_error};

/// The pause before the next system call where the server's backlog was full.
const BACKLOG_PAUSE: Duration = Duration::from_millis(10);

/// A stream of the user's own type.
type Stream = Box<dyn Transport + Send>;

type Opening = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// How a client reaches its server.
pub(super) enum Connector {
    /// By the path of its options, made absolute at the first attempt: the process may change its directory later.
    Path(OnceLock<PathBuf>),
    /// By code of the user. The server's user is known where the server is in this process.
    Custom { open: Box<dyn Fn() -> Opening + Send + Sync>, server_user: Option<u32> },
}

/// A connection that was made.
pub(super) enum Connected {
    Unix(UnixStream),
    Custom(Stream),
}

impl Connector {
    pub(super) fn custom<S, F>(open: impl Fn() -> F + Send + Sync + 'static, server_user: Option<u32>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let open = move || -> Opening {
            let opening = open();
            Box::pin(async move { opening.await.map(|stream| Box::new(stream) as Stream) })
        };
        Self::Custom { open: Box::new(open), server_user }
    }

    /// The mistake in the options with which no attempt can succeed, if there is one.
    pub(super) fn invalid_options(&self, options: &ClientOptions) -> Option<ConnectError> {
        let reason = match self {
            Self::Path(_) => path_error(&options.path)?,
            Self::Custom { .. } => return None,
        };
        Some(ConnectError::InvalidPath { path: options.path.clone(), reason })
    }

    pub(super) async fn attempt(&self, options: &ClientOptions) -> Result<Connected, ConnectError> {
        let path = || options.path.clone();
        let opening = async {
            match self {
                Self::Path(found) => {
                    connect(found.get_or_init(|| absolute(&options.path))).await.map(Connected::Unix)
                }
                Self::Custom { open, .. } => open().await.map(Connected::Custom),
            }
        };
        let connected = match tokio::time::timeout(options.connect_timeout, opening).await {
            Ok(opened) => opened.map_err(|cause| ConnectError::Io { path: path(), cause: cause.into() })?,
            Err(_) => return Err(ConnectError::Timeout { path: path(), timeout: options.connect_timeout }),
        };
        if let Some(expected) = options.expected_server_user {
            let found = match (&connected, self) {
                // The user that listens on the socket, as the kernel tells it; nothing was sent yet.
                (Connected::Unix(stream), _) => stream.peer_cred().ok().map(|credentials| credentials.uid()),
                (Connected::Custom(_), Self::Custom { server_user, .. }) => *server_user,
                (Connected::Custom(_), Self::Path(_)) => None,
            };
            if found != Some(expected) {
                return Err(ConnectError::WrongUser { path: path(), expected, found });
            }
        }
        Ok(connected)
    }
}

/// Makes a panic of the user's code an attempt that failed: an attempt to reconnect has no caller that a panic could
/// reach.
pub(super) async fn guarded<T>(
    options: &ClientOptions,
    attempt: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    let mut attempt = pin!(attempt);
    poll_fn(|cx| {
        caught(|| attempt.as_mut().poll(cx)).unwrap_or_else(|panic| {
            let source = io::Error::other(format!("the transport panicked: {panic}"));
            Poll::Ready(Err(ConnectError::Io { path: options.path.clone(), cause: source.into() }))
        })
    })
    .await
}

/// The path from the root, unless only the path as it was given is short enough for a socket.
fn absolute(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).ok().filter(|absolute| path_error(absolute).is_none());
    absolute.unwrap_or_else(|| path.to_owned())
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            // The server is there, its backlog full (`connect(2)`, EAGAIN): it may catch up within the
            // timeout.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(BACKLOG_PAUSE).await
            }
            Err(error) => return Err(explained(error, path)),
            Ok(stream) => return Ok(stream),
        }
    }
}

/// Says what the operating system's error leaves out: which directory is missing, or what is at the path where it is no
/// socket, of which the error would be that of a dead server.
fn explained(error: io::Error, path: &Path) -> io::Error {
    let kind = error.kind();
    let text = match kind {
        io::ErrorKind::NotFound => missing_directory(path)
            .map(|directory| format!("the directory {} does not exist", directory.display())),
        io::ErrorKind::ConnectionRefused => {
            let found = std::fs::metadata(path).ok().and_then(|found| no_socket(&found));
            found.map(|found| format!("found {found} there, which is no socket"))
        }
        _ => None,
    };
    text.map_or(error, |text| io::Error::new(kind, text))
}
