//! The writing half of a session: from the outbox to the stream.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::task::unconstrained;
use tokio::time::Instant;

use super::Transport;
use super::outbox::{Outbox, Segment};
use crate::events::CloseCause;

/// How much is handed to the kernel at once while the peer reads slowly. The kernel splits a write into pieces of 37 KB
/// at most, and takes more only when the peer has read a whole piece.
const SLOW_PIECE: usize = 8 * 1024;

/// Writes what is queued.
#[derive(Debug)]
pub(super) struct Writer {
    outbox: Arc<Outbox>,
    /// How long the stream may take no bytes while there is something to write.
    patience: Duration,
    /// The segment that is being written, and how many of its bytes are written.
    writing: Option<(Segment, usize)>,
    /// Something was written since the stream was last flushed.
    unflushed: bool,
    /// The peer reads no more, or nothing more can be written.
    ended: Option<CloseCause>,
    /// The deadline for the stream to take more bytes.
    stalled_until: Option<Instant>,
    /// The stream took bytes at its deadline although it was not writable, and has not become writable since.
    slow: bool,
}

impl Writer {
    pub(super) fn new(outbox: Arc<Outbox>, patience: Duration) -> Self {
        Self {
            outbox,
            patience,
            writing: None,
            unflushed: false,
            ended: None,
            stalled_until: None,
            slow: false,
        }
    }

    /// Writes queued bytes. `Pending` while the stream takes no more.
    pub(super) fn poll_write<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncWrite + Unpin,
    {
        while self.ended.is_none() {
            let Some(bytes) = self.next() else { break };
            match Pin::new(&mut *stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.slow = false;
                    self.wrote(count);
                }
                // The peer may have sent something before it left: it is still read.
                Poll::Ready(Ok(_)) => self.end(CloseCause::PeerClosed),
                // Not an error: the call is made again.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => self.end(cause_of(error)),
                Poll::Pending => {
                    self.stall();
                    return Poll::Pending;
                }
            }
        }
        self.poll_flush(stream, cx)
    }

    /// Writes to a stream that has reached its deadline without being writable. Says whether it took bytes, or has
    /// ended. A stream without [`Transport::write_now`] counts as taking none.
    pub(super) fn write_regardless<S: Transport>(&mut self, stream: &S) -> bool {
        let mut has_written = false;
        while self.ended.is_none() {
            let before = std::mem::replace(&mut self.slow, true);
            let Some(bytes) = self.next() else { break };
            match stream.write_now(bytes) {
                Some(Ok(count)) if count > 0 => {
                    has_written = true;
                    self.wrote(count);
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Err(error)) if error.kind() != io::ErrorKind::WouldBlock => self.end(cause_of(error)),
                _ => {
                    self.slow = before || has_written;
                    break;
                }
            }
        }
        if has_written {
            // A slow peer keeps the queue in memory for long.
            self.outbox.release_chunks();
            if let Some((segment, _)) = &mut self.writing {
                segment.release_chunk();
            }
        }
        has_written || self.ended.is_some()
    }

    /// The bytes to hand to the stream next.
    #[inline]
    fn next(&mut self) -> Option<&[u8]> {
        if self.writing.is_none() {
            self.writing = self.outbox.take().map(|segment| (segment, 0));
        }
        let (segment, written) = self.writing.as_ref()?;
        let rest = &segment.bytes()[*written..];
        Some(if self.slow { &rest[..rest.len().min(SLOW_PIECE)] } else { rest })
    }

    /// Accounts for `count` bytes that the stream has taken.
    #[inline]
    fn wrote(&mut self, count: usize) {
        (self.unflushed, self.stalled_until) = (true, None);
        let Some((segment, written)) = &mut self.writing else { return };
        *written += count;
        let done = *written == segment.bytes().len();
        self.outbox.written(segment, count, done);
        if done && let Some((segment, _)) = self.writing.take() {
            segment.reuse();
        }
    }

    /// Flushes the stream, which may buffer or encrypt. `Pending` while it can't flush.
    fn poll_flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        if self.unflushed && self.ended.is_none() {
            match Pin::new(stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => (self.unflushed, self.stalled_until) = (false, None),
                Poll::Ready(Err(error)) => self.end(cause_of(error)),
                Poll::Pending => {
                    self.stall();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Shuts the stream down. `Pending` while it can't.
    pub(super) fn poll_shutdown<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let shut = Pin::new(stream).poll_shutdown(cx).map(|_| ());
        if shut.is_ready() {
            // Shutting down includes flushing.
            (self.unflushed, self.stalled_until) = (false, None);
        }
        shut
    }

    /// Finds out whether the peer still reads: the kernel reports the end even for an empty write.
    pub(super) fn probe<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) {
        if self.ended.is_none() {
            // A single call, so it need not count in the task's budget.
            let mut probe = unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, &[])));
            if let Poll::Ready(Err(error)) = Pin::new(&mut probe).poll(cx) {
                self.end(cause_of(error));
            }
        }
    }

    /// Why nothing more can be written, if so.
    pub(super) fn ended(&self) -> Option<&CloseCause> {
        self.ended.as_ref()
    }

    /// Whether there is nothing left to write, or nothing more can be written.
    pub(super) fn is_done(&self) -> bool {
        self.ended.is_some() || (self.writing.is_none() && self.outbox.is_empty())
    }

    pub(super) fn stalled_until(&self) -> Option<Instant> {
        self.stalled_until
    }

    /// Takes the segment that was being written, and how many of its bytes were written.
    pub(super) fn take_writing(&mut self) -> Option<(Segment, usize)> {
        self.writing.take()
    }

    /// Notes that the stream takes no more. The first call sets the deadline.
    fn stall(&mut self) {
        if self.stalled_until.is_none() {
            let now = Instant::now();
            self.stalled_until = now.checked_add(self.patience);
            self.outbox.blocked(now, self.patience);
        }
    }

    fn end(&mut self, cause: CloseCause) {
        self.ended = Some(cause);
        self.stalled_until = None;
        self.outbox.break_off();
    }
}

/// A Unix socket is reset when the peer leaves without reading everything (`unix(7)`).
pub(super) fn cause_of(error: io::Error) -> CloseCause {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseCause::PeerClosed,
        _ => CloseCause::Io(Arc::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Read as _;
    use std::task::Waker;

    use tokio::net::UnixStream;

    use super::*;
    use crate::connection::outbox::OutboxBudget;
    use crate::metrics::Metrics;
    use crate::topic::TopicName;

    const STALL: Duration = Duration::from_secs(10);

    /// How many bytes a peer has to take within `write_stall` to be safe, as the documentation says.
    const SAFE: usize = 80_000;

    /// A writer whose socket is as full as it gets with writes of these lengths, and its peer.
    struct Scene {
        writer: Writer,
        stream: UnixStream,
        peer: std::os::unix::net::UnixStream,
        /// How many bytes were queued, and read. Their values follow a pattern, which shows a missing byte.
        queued: usize,
        read: usize,
    }

    fn bytes(range: std::ops::Range<usize>) -> Vec<u8> {
        let all: Vec<u8> = (0..=250).collect();
        let mut bytes = all.repeat(range.len() / 251 + 2);
        bytes.drain(..range.start % 251);
        bytes.truncate(range.len());
        bytes
    }

    impl Scene {
        fn new(lens: impl IntoIterator<Item = usize>) -> Self {
            let (stream, peer) = UnixStream::pair().unwrap();
            let outbox = Arc::new(Outbox::new(usize::MAX, OutboxBudget::new(usize::MAX), Metrics::new()));
            let writer = Writer::new(outbox, STALL);
            let mut scene = Self { writer, stream, peer: peer.into_std().unwrap(), queued: 0, read: 0 };
            for len in lens {
                scene.queue(len);
                if scene.poll().is_pending() {
                    break;
                }
            }
            assert!(scene.writer.stalled_until().is_some());
            scene
        }

        fn queue(&mut self, len: usize) {
            let message = bytes(self.queued..self.queued + len);
            self.writer.outbox.push(&message, TopicName::AtRunTime("bytes")).unwrap();
            self.queued += len;
        }

        fn poll(&mut self) -> Poll<()> {
            self.writer.poll_write(&mut self.stream, &mut Context::from_waker(Waker::noop()))
        }

        /// Reads `len` bytes, or all that there are.
        fn read(&mut self, len: usize) {
            let until = self.read + len;
            let mut buffer = vec![0; len];
            while self.read < until {
                let Ok(count) = self.peer.read(&mut buffer[..until - self.read]) else { break };
                assert!(buffer[..count] == bytes(self.read..self.read + count), "in order, each byte once");
                self.read += count;
            }
        }
    }

    /// Lengths of writes that make the kernel split them in many different ways.
    fn patterns() -> Vec<Box<dyn Iterator<Item = usize>>> {
        let mut patterns: Vec<Box<dyn Iterator<Item = usize>>> = Vec::new();
        for len in [80, 1_000, 8_192, 30_000, 36_000, 65_536, 65_616, 262_144, 1 << 20, 4 << 20] {
            patterns.push(Box::new(std::iter::repeat(len)));
        }
        for seed in 0..10 {
            let mut random = fastrand::Rng::with_seed(seed);
            patterns.push(Box::new(std::iter::repeat_with(move || 1 << random.usize(6..21))));
            let mut random = fastrand::Rng::with_seed(seed);
            patterns.push(Box::new(std::iter::repeat_with(move || random.usize(20_000..200_000))));
        }
        patterns
    }

    #[tokio::test(start_paused = true)]
    async fn writer_slowest_safe_peer_never_stalls() {
        for lens in patterns() {
            let mut scene = Scene::new(lens);
            scene.queue(4 * SAFE);
            for round in 0..20 {
                scene.queue(2 * SAFE);
                scene.read(SAFE);
                tokio::time::advance(STALL).await;
                // Becoming writable is progress, too.
                if scene.poll().is_pending() && scene.writer.stalled_until() <= Some(Instant::now()) {
                    assert!(scene.writer.write_regardless(&scene.stream), "in round {round}");
                }
                assert!(scene.poll().is_pending());
                assert!(scene.writer.stalled_until() > Some(Instant::now()));
            }
            // A peer that takes nothing is noticed at the first deadline.
            tokio::time::advance(STALL).await;
            assert!(!scene.writer.write_regardless(&scene.stream));
            assert!(scene.writer.stalled_until() <= Some(Instant::now()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writer_slow_peer_takes_one_piece_is_enough() {
        let mut scene = Scene::new([1 << 20]);
        scene.queue(4 << 20);
        // Until all large pieces are read.
        for _ in 0..6 {
            scene.read(SAFE);
            assert!(scene.writer.write_regardless(&scene.stream));
        }
        for _ in 0..50 {
            scene.read(SLOW_PIECE);
            assert!(scene.writer.write_regardless(&scene.stream));
        }
        // A peer that reads fast again gets large pieces again.
        scene.read(1 << 20);
        scene.stream.writable().await.unwrap();
        assert!(scene.poll().is_pending());
        assert!(!scene.writer.slow);
    }

    #[tokio::test(start_paused = true)]
    async fn writer_write_regardless_finds_peer_gone() {
        let mut scene = Scene::new([1 << 20]);
        let Scene { peer, .. } = &scene;
        peer.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(scene.writer.write_regardless(&scene.stream));
        assert!(matches!(scene.writer.ended(), Some(CloseCause::PeerClosed)));
    }

    #[tokio::test(start_paused = true)]
    async fn writer_other_transport_not_writable_takes_nothing() {
        let (mut stream, _peer) = tokio::io::duplex(10);
        let outbox = Arc::new(Outbox::new(usize::MAX, OutboxBudget::new(usize::MAX), Metrics::new()));
        outbox.push(&[b'x'; 100], TopicName::AtRunTime("bytes")).unwrap();
        let mut writer = Writer::new(outbox, STALL);
        assert!(writer.poll_write(&mut stream, &mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!writer.write_regardless(&stream));
        assert!(!writer.slow);
    }

    /// A transport that does what it is told, in order.
    #[derive(Default)]
    struct Scripted {
        writes: VecDeque<io::Result<usize>>,
        flushes: VecDeque<Poll<io::Result<()>>>,
        shutdowns: VecDeque<Poll<io::Result<()>>>,
    }

    impl AsyncWrite for Scripted {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(self.writes.pop_front().unwrap())
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes.pop_front().unwrap()
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shutdowns.pop_front().unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writer_transport_interrupts_flushes_late_and_shuts_down_late_is_awaited() {
        let outbox = Arc::new(Outbox::new(usize::MAX, OutboxBudget::new(usize::MAX), Metrics::new()));
        outbox.push(&[b'x'; 100], TopicName::AtRunTime("bytes")).unwrap();
        let mut writer = Writer::new(Arc::clone(&outbox), STALL);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut transport = Scripted {
            writes: [Err(io::ErrorKind::Interrupted.into()), Ok(60), Ok(40)].into(),
            flushes: [Poll::Pending, Poll::Ready(Ok(()))].into(),
            shutdowns: [Poll::Pending, Poll::Ready(Ok(()))].into(),
        };
        assert!(writer.poll_write(&mut transport, cx).is_pending());
        assert_eq!(writer.stalled_until(), Some(Instant::now() + STALL), "not flushed");
        assert!(writer.poll_write(&mut transport, cx).is_ready());
        assert_eq!(writer.stalled_until(), None);
        assert!(writer.poll_write(&mut transport, cx).is_ready(), "nothing is left to flush");
        assert!(writer.poll_shutdown(&mut transport, cx).is_pending());
        assert!(writer.poll_shutdown(&mut transport, cx).is_ready());
        assert!(writer.ended().is_none());
        outbox.push(b"more", TopicName::AtRunTime("bytes")).unwrap();
        transport.writes.push_back(Ok(0));
        assert!(writer.poll_write(&mut transport, cx).is_ready());
        assert!(matches!(writer.ended(), Some(CloseCause::PeerClosed)));
    }

    #[test]
    fn writer_slowest_safe_amount_matches_documentation() {
        let stated = format!("{} KB", SAFE / 1000);
        let flat = |text: &str| text.replace("///", "").split_whitespace().collect::<Vec<_>>().join(" ");
        for text in [
            include_str!("../endpoint/options.rs"),
            include_str!("../limits/mod.rs"),
            include_str!("../guide/limits.md"),
        ] {
            assert!(flat(text).contains(&stated), "{stated}");
        }
    }
}
