//! The socket that a service manager passes.

use std::io;
use std::os::unix::net::UnixListener;

/// Takes the listening Unix socket that a service manager such as systemd passed to this process, if it
/// passed one.
///
/// The protocol is that of `sd_listen_fds(3)`: the environment variables `LISTEN_PID` and `LISTEN_FDS`, and
/// descriptors from 3 on. Only the first socket is taken, and only once. The variables are removed, so that
/// child processes don't take it for theirs, and other threads must not look at the environment meanwhile: call it before
/// there are any, so before a runtime is made and not under `#[tokio::main]`.
///
/// # Errors
///
/// The descriptor that was passed is not a listening Unix socket.
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
    let listener = listenfd::ListenFd::from_env().take_unix_listener(0)?;
    if let Some(listener) = &listener {
        // It came through an `exec`, and must not go through the next one.
        rustix::io::fcntl_setfd(listener, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(listener)
}
