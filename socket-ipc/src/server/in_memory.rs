//! Connections in memory, from clients in the process of their server.

use std::io;

use tokio::io::{DuplexStream, duplex};

use super::handle::ServerHandle;
use crate::unix_socket::peer::Peer;

/// How many bytes each direction of such a connection holds: about as many as a Unix socket.
const PIPE_LEN: usize = 64 * 1024;

impl ServerHandle {
    /// Serves a client of this process, and returns the client's end of the connection.
    pub(crate) async fn join_in_memory(&self) -> io::Result<DuplexStream> {
        let (state, this_process) = (&self.state, Peer::of_this_process());
        if state.options.allowed_groups.is_some() && state.allowed_groups.get().is_none() {
            // It does not listen: it has not looked up the groups yet.
            state.find_groups().await.map_err(io::Error::other)?;
        }
        let of_group = state.is_of_allowed_group(Some(this_process)).await;
        let (ours, theirs) = duplex(PIPE_LEN);
        match state.admit(theirs, Some(this_process), of_group).map_err(io::Error::other)? {
            Some(_client_id) => Ok(ours),
            None => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the server is closed")),
        }
    }
}
