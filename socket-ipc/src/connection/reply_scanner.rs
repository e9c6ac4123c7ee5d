//! Finds replies among the received bytes while the message at their front waits.

use std::ops::Range;

use crate::wire::{Frame, Framer, Wire};

/// How far the received bytes were scanned, beyond the front. No byte is scanned twice, even if bytes are taken off the
/// front meanwhile.
#[derive(Debug)]
pub(super) struct ReplyScanner {
    /// How many of the bytes at the front were scanned: whole messages.
    seen: usize,
    /// Finds the end of the message that begins there.
    framer: Framer,
    /// Whether bytes were scanned since the front last passed `seen`.
    used: bool,
    wire: Wire,
    limit: usize,
}

impl ReplyScanner {
    pub(super) fn new(wire: Wire, limit: usize) -> Self {
        Self { seen: 0, framer: Framer::new(wire, limit, 0), used: false, wire, limit }
    }

    /// Notes that `count` bytes were taken off the front.
    #[inline]
    pub(super) fn taken(&mut self, count: usize) {
        // Mostly nothing is held back, and nothing was scanned.
        if self.used {
            self.taken_from_seen(count);
        }
    }

    fn taken_from_seen(&mut self, count: usize) {
        if count > self.seen {
            self.used = false;
            // The front was handled, and with it the beginning of the message that was scanned last.
            self.framer = Framer::new(self.wire, self.limit, 0);
        }
        self.seen = self.seen.saturating_sub(count);
    }

    /// Notes that `count` scanned bytes are gone from the middle.
    pub(super) fn removed(&mut self, count: usize) {
        self.seen = self.seen.saturating_sub(count);
    }

    /// Notes that bytes in the middle are gone.
    pub(super) fn disturbed(&mut self) {
        self.taken_from_seen(self.seen + 1);
    }

    /// The place in `received` of the next whole message that was not scanned, delimiter included. The first `skip`
    /// bytes are the held message. `front` is the framer of the message at the front.
    pub(super) fn next(&mut self, received: &[u8], skip: usize, front: &Framer) -> Option<Range<usize>> {
        if skip == 0 && !self.used {
            self.framer = front.clone();
        }
        if skip > self.seen {
            self.disturbed();
            self.seen = skip;
        }
        self.used = true;
        loop {
            let start = self.seen;
            match self.framer.next(received.get(start..)?) {
                Frame::Message { taken, .. } => {
                    self.seen += taken;
                    return Some(start..start + taken);
                }
                Frame::TooLong { taken, .. } => self.seen += taken,
                Frame::Incomplete => return None,
            }
        }
    }
}

/// Whether bytes could be a reply: they hold its key, or a letter of it as an escape.
pub(crate) fn may_be_reply(bytes: &[u8]) -> bool {
    [&b"\"re\""[..], b"\\u0072", b"\\u0065"]
        .into_iter()
        .any(|part| memchr::memmem::find(bytes, part).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn may_be_reply_key_with_escapes_is_found() {
        for reply in
            [r#"{"topic":"t","re":1}"#, r#"{"r\u0065":1}"#, r#"{"\u0072e":1}"#, r#"{"\u0072\u0065":1}"#]
        {
            assert!(may_be_reply(reply.as_bytes()), "{reply}");
        }
        assert!(!may_be_reply(br#"{"topic":"t","message":"re\n"}"#));
    }

    #[test]
    fn reply_scanner_any_pieces_returns_each_message_once() {
        let mut reply_scanner = ReplyScanner::new(Wire::JSON_LINES, 100);
        let mut received = b"held\none\ntw".to_vec();
        let seen = |reply_scanner: &mut ReplyScanner, received: &[u8], skip| {
            let place = reply_scanner.next(received, skip, &Framer::new(Wire::JSON_LINES, 100, 0));
            place.map(|place| String::from_utf8_lossy(&received[place]).trim_end().to_owned())
        };
        assert_eq!(seen(&mut reply_scanner, &received, 5).as_deref(), Some("one"));
        assert_eq!(seen(&mut reply_scanner, &received, 5), None);
        received.extend_from_slice(b"o\nthr");
        assert_eq!(seen(&mut reply_scanner, &received, 5).as_deref(), Some("two"));
        assert_eq!(seen(&mut reply_scanner, &received, 5), None);
        // The held message and the first behind it are handled; the second is held.
        received.drain(..9);
        reply_scanner.taken(5);
        reply_scanner.taken(4);
        received.extend_from_slice(b"ee\n");
        assert_eq!(seen(&mut reply_scanner, &received, 4).as_deref(), Some("three"));
        // All scanned bytes are gone, and the beginning of a message with them.
        received.clear();
        reply_scanner.taken(10);
        received.extend_from_slice(b"four\nfive\n");
        assert_eq!(seen(&mut reply_scanner, &received, 5).as_deref(), Some("five"));
        assert_eq!(seen(&mut reply_scanner, &received, 5), None);
    }

    #[test]
    fn reply_scanner_message_over_limit_is_skipped() {
        let mut reply_scanner = ReplyScanner::new(Wire::JSON_LINES, 5);
        let received = b"held\n123456789\nshort\n";
        let front = Framer::new(Wire::JSON_LINES, 5, 0);
        assert_eq!(reply_scanner.next(received, 5, &front), Some(15..21));
    }

    #[test]
    fn reply_scanner_front_over_limit_is_skipped_after_excess() {
        let mut front = Framer::new(Wire::JSON_LINES, 50, 5);
        let mut received = [b'x'; 200].to_vec();
        assert_eq!(front.next(&received), Frame::Incomplete);
        received.drain(front.excess(&received).unwrap());
        received.extend_from_slice(b"x\nnext\n");
        let mut reply_scanner = ReplyScanner::new(Wire::JSON_LINES, 50);
        let place = reply_scanner.next(&received, 0, &front).unwrap();
        assert_eq!(&received[place], b"next\n");
    }
}
