//! Socket activation: the sockets that a service manager passes.

use std::io;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_type;
use rustix::net::{SocketType, getpeername};

/// A listening Unix socket that a service manager passed to this process, and its name.
///
/// ```
/// use socket_ipc::{ActivatedListener, Server};
///
/// fn admin(passed: Vec<ActivatedListener>) -> Option<Server> {
///     let admin = passed.into_iter().find(|socket| socket.name == "admin")?;
///     Some(Server::from_listener(admin.listener))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ActivatedListener {
    /// `FileDescriptorName=` of the unit, by default the name of the socket unit. Empty where the service manager
    /// passes no names.
    pub name: String,
    /// The socket, for [`Server::from_listener`](crate::Server::from_listener).
    pub listener: UnixListener,
}

/// Takes the listening Unix socket that a service manager such as systemd passed to this process, if it passed one.
///
/// The protocol is that of `sd_listen_fds(3)`: the environment variables `LISTEN_PID` and `LISTEN_FDS`, and descriptors
/// from 3 on. It takes the first listening Unix socket, and only once. A `tracing` warning names each further socket,
/// whose clients are not served: [`activated_listeners`] takes all. `LISTEN_PID` and `LISTEN_FDS` are removed, so that
/// child processes don't take them for theirs. No other thread may read the environment meanwhile: call it before there
/// are other threads, so before a runtime is made and not under `#[tokio::main]`.
///
/// # Errors
///
/// Sockets were passed, but no Unix stream socket is among them. Or one of them does not listen: it is connected, as
/// with `Accept=yes` in the unit, or only bound. The error says which.
///
/// # Examples
///
/// ```
/// use socket_ipc::{Server, activated_listener};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let server = match activated_listener()? {
///         Some(listener) => Server::from_listener(listener),
///         None => Server::new("/run/myApp.sock"),
///     };
///     tokio::runtime::Runtime::new()?.block_on(serve(server))
/// }
///
/// async fn serve(server: Server) -> Result<(), Box<dyn std::error::Error>> {
/// #     if true { return Ok(()) }
///     server.listen().await?;
///     server.closed().await;
///     Ok(())
/// }
/// ```
pub fn activated_listener() -> io::Result<Option<UnixListener>> {
    let mut listeners = activated_listeners()?.into_iter();
    let first = listeners.next().map(|first| first.listener);
    for ActivatedListener { name, listener } in listeners {
        tracing::warn!(name, socket = ?listener.local_addr().ok(), "a socket was passed that the program does not take: its clients are not served");
        // Left open, as it was passed: another part of the program may use it.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(listener);
    }
    Ok(first)
}

/// Takes all listening Unix sockets that a service manager such as systemd passed to this process, in the order of the
/// unit, each with its name.
///
/// Sockets of other kinds are left alone, and named in a `tracing` warning. Everything else is as with
/// [`activated_listener`].
///
/// # Errors
///
/// The errors of [`activated_listener`].
///
/// # Examples
///
/// ```
/// use socket_ipc::{Server, activated_listeners};
///
/// # fn example() -> std::io::Result<()> {
/// let mut admin = None;
/// for socket in activated_listeners()? {
///     match socket.name.as_str() {
///         "admin" => admin = Some(Server::from_listener(socket.listener)),
///         other => eprintln!("{other} is not a socket of this program"),
///     }
/// }
/// # Ok(()) }
/// ```
pub fn activated_listeners() -> io::Result<Vec<ActivatedListener>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    let mut others = None;
    for index in 0..passed.len() {
        let name = names.next().unwrap_or_default().to_owned();
        match passed.take_unix_listener(index) {
            Ok(Some(listener)) => {
                // It was inherited over `exec`, and must not be inherited again.
                rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::CLOEXEC)?;
                if let Some(found) = why_not_listening(&listener)? {
                    let socket =
                        if name.is_empty() { format!("{index}") } else { format!("{index} (`{name}`)") };
                    let text = format!("socket {socket} of those that were passed {found}");
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                listeners.push(ActivatedListener { name, listener });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(name, %error, "a socket was passed that is no Unix stream socket");
                others = Some(error);
            }
        }
    }
    match others {
        Some(error) if listeners.is_empty() => Err(io::Error::new(
            error.kind(),
            format!("nothing that was passed is a Unix stream socket ({error}); {LISTEN_STREAM}"),
        )),
        _ => Ok(listeners),
    }
}

/// The likely mistake where a socket of another kind was passed.
const LISTEN_STREAM: &str = "under systemd the unit has to say `ListenStream=` and a path";

/// Says what a socket that does not listen is, and the likely mistake.
pub(crate) fn why_not_listening(socket: &UnixListener) -> io::Result<Option<String>> {
    if socket_type(socket)? != SocketType::STREAM || socket.local_addr().is_err() {
        return Ok(Some(format!("is no Unix stream socket; {LISTEN_STREAM}")));
    }
    if listens(socket)? {
        return Ok(None);
    }
    Ok(Some(if getpeername(socket).is_ok_and(|peer| peer.is_some()) {
        "is connected, and does not listen; under systemd the unit says `Accept=yes`, and has to say `Accept=no`".to_owned()
    } else {
        "is bound, and does not listen: the program that passes it has to call `listen` before".to_owned()
    }))
}

#[cfg(not(target_vendor = "apple"))]
fn listens(socket: &UnixListener) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// Apple's systems can't tell.
#[cfg(target_vendor = "apple")]
fn listens(_socket: &UnixListener) -> io::Result<bool> {
    Ok(true)
}
