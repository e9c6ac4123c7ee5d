//! Notices a server that speaks another wire, by the first bytes that it sends. Otherwise the command would wait until a
//! time-out for messages that never come.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket_ipc::Wire;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::first_bytes::{Verdict, judge};

/// Whether a server turned out to speak another wire.
#[derive(Clone)]
pub(crate) struct OtherWire {
    wire: Wire,
    path: PathBuf,
    found: Arc<watch::Sender<Option<String>>>,
}

impl OtherWire {
    pub(crate) fn new(wire: Wire, path: PathBuf) -> Self {
        Self { wire, path, found: Arc::new(watch::Sender::new(None)) }
    }

    /// Has the first bytes of a connection judged.
    pub(crate) fn watch(&self, stream: UnixStream) -> Watched {
        Watched { stream, first: Some(Vec::new()), other_wire: self.clone() }
    }

    pub(crate) fn is_found(&self) -> bool {
        self.found.borrow().is_some()
    }

    /// Works until the server turns out to speak another wire. That is a failure, whatever the work made of it.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut found = self.found.subscribe();
        let worked = tokio::select! {
            _ = found.wait_for(Option::is_some) => None,
            worked = work => Some(worked),
        };
        // What it is comes first: the server may have closed the connection after it.
        match (self.failure(), worked) {
            (Some(failure), _) => Err(failure),
            (None, Some(worked)) => worked,
            // Not possible: one of both has ended the wait.
            (None, None) => Err(Failure::other("the server speaks another wire")),
        }
    }

    fn failure(&self) -> Option<Failure> {
        let found = self.found.borrow();
        let text = found.as_ref()?;
        Some(Failure::other(format!("the server at {}: {text}", self.path.display())))
    }
}

/// A connection whose first bytes are judged as they are read.
pub(crate) struct Watched {
    stream: UnixStream,
    /// What has arrived, from its first byte that is no white space on, until that is enough to judge it.
    first: Option<Vec<u8>>,
    other_wire: OtherWire,
}

impl Watched {
    fn judge(&mut self, arrived: &[u8]) {
        let Some(first) = &mut self.first else { return };
        let is_end = arrived.is_empty();
        // White space before the first message says nothing, and there may be any amount of it.
        first.extend_from_slice(if first.is_empty() { arrived.trim_ascii_start() } else { arrived });
        match judge(self.other_wire.wire, first, is_end) {
            Verdict::Unsure => return,
            Verdict::Own => {}
            Verdict::Other(text) => drop(self.other_wire.found.send_replace(Some(text))),
        }
        self.first = None;
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if self.first.is_some() && read.is_ok() {
            self.judge(&buffer.filled()[before..]);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
