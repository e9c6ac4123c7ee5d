//! The stream of a connection, and writing to a socket without readiness.

use std::any::Any;
use std::io;

use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// Anything that a connection can run over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Writes as much as the kernel has room for now, even if the stream is not reported as writable. `None` for a
    /// stream that is no Unix socket.
    ///
    /// Linux reports a Unix socket as writable when at most a quarter of its send buffer is in use. A slow peer takes
    /// long to get there, though it reads all the while.
    fn write_now(&self, bytes: &[u8]) -> Option<io::Result<usize>>;
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Transport for S {
    fn write_now(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        let stream: &dyn Any = self;
        if let Some(boxed) = stream.downcast_ref::<Box<dyn Transport + Send>>() {
            return (**boxed).write_now(bytes);
        }
        let socket = stream.downcast_ref::<UnixStream>()?;
        let flags = SendFlags::DONTWAIT;
        // Without such a flag, the standard library has set the same as an option of the socket.
        #[cfg(not(target_vendor = "apple"))]
        let flags = flags | SendFlags::NOSIGNAL;
        Some(send(socket, bytes, flags).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn transport_unix_socket_writes_without_readiness() {
        let (stream, peer) = UnixStream::pair().unwrap();
        assert_eq!(stream.write_now(b"x").unwrap().unwrap(), 1);
        let boxed: Box<dyn Transport + Send> = Box::new(stream);
        assert_eq!(boxed.write_now(b"x").unwrap().unwrap(), 1);
        while boxed.write_now(&[b'x'; 4096]).unwrap().is_ok() {}
        assert_eq!(boxed.write_now(b"x").unwrap().unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(peer);
        assert_eq!(boxed.write_now(b"x").unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn transport_other_stream_returns_none() {
        let (stream, _peer) = tokio::io::duplex(10);
        assert!(stream.write_now(b"x").is_none());
    }
}
