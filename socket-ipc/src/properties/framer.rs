//! The framer finds the delimiters, in whatever pieces a stream arrives.

use super::wire;
use crate::wire::{Frame, Framer, Wire};

/// How many bytes the framer keeps of the front and of the back of a message over the limit.
const KEEP: usize = 8;
const TAIL: usize = 80;

/// A stream gives the messages that a naive search for delimiters finds, in whatever pieces it arrives, and no more of
/// it is kept than the limit allows. The first bytes of `data` choose the wire, the limit and the pieces.
pub fn framer(data: &[u8]) {
    let [number, limit, pieces, stream @ ..] = data else { return };
    let (wire, limit) = (wire(*number), usize::from(*limit));
    let (delimiter, mut rest, mut expected) = (wire.delimiter().as_bytes(), stream, Vec::new());
    while let Some(len) = rest.windows(delimiter.len()).position(|window| window == delimiter) {
        let kept = if len > limit { len.min(KEEP) } else { len };
        expected.push((len as u64, len > limit, rest[..kept].to_vec()));
        rest = &rest[len + delimiter.len()..];
    }
    let whole = framed(wire, limit, &[stream]);
    assert_eq!(whole, (expected, rest.len() as u64), "the whole stream");
    // Pieces of 1 byte, of a few, or of a few more, in turn.
    let sizes = [1, usize::from(pieces & 7) + 1, usize::from(pieces >> 3) + 1];
    let (mut left, mut pieces) = (stream, Vec::new());
    for size in sizes.into_iter().cycle() {
        if left.is_empty() {
            break;
        }
        let (piece, after) = left.split_at(size.min(left.len()));
        pieces.push(piece);
        left = after;
    }
    assert_eq!(framed(wire, limit, &pieces), whole, "in pieces");
}

/// For each message its length, whether it was too long, and what was kept of it; then the number of bytes that follow.
type Framed = (Vec<(u64, bool, Vec<u8>)>, u64);

fn framed(wire: Wire, limit: usize, pieces: &[&[u8]]) -> Framed {
    let mut framer = Framer::new(wire, limit, KEEP);
    let (mut received, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        received.extend_from_slice(piece);
        loop {
            let taken = match framer.next(&received) {
                Frame::Message { len, taken } => {
                    frames.push((len as u64, false, received[..len].to_vec()));
                    taken
                }
                Frame::TooLong { len, kept, taken } => {
                    frames.push((len, true, received[..kept].to_vec()));
                    taken
                }
                Frame::Incomplete => break,
            };
            received.drain(..taken);
        }
        if let Some(excess) = framer.excess(&received) {
            received.drain(excess);
        }
        let most = limit.max(KEEP) + TAIL + wire.delimiter().len() + piece.len();
        assert!(received.len() <= most, "{} bytes are kept where {most} are the most", received.len());
    }
    (frames, framer.unfinished(&received))
}
