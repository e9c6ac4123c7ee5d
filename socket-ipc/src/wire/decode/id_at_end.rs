//! The id at the end of an envelope, read without decoding the rest.

use serde_json::value::RawValue;

use super::one_pass::{ITEM, REPLY, REQUEST, STARTED, WHITE_SPACE, number_of};
use crate::wire::kind::{RequestId, StreamPart};

/// The number of a reply that is written as this library writes it, at the end of its envelope. Does not check whether
/// the rest is an envelope. If it is, the number belongs to it: in JSON text the last brace closes the envelope, and
/// only a key of the envelope can come right before its last value.
#[inline]
pub(crate) fn reply_id_at_end(bytes: &[u8]) -> Option<u64> {
    number_at_end(bytes, REPLY).map(|(_, number)| number)
}

/// The same, and what the reply is of a stream, if it is written as this library writes it.
#[inline]
pub(crate) fn reply_at_end(bytes: &[u8]) -> Option<(u64, StreamPart<'static>)> {
    let (front, number) = number_at_end(bytes, REPLY)?;
    let part = if front.ends_with(ITEM.as_bytes()) {
        StreamPart::Item
    } else if front.ends_with(STARTED.as_bytes()) {
        StreamPart::Started
    } else {
        StreamPart::None
    };
    Some((number, part))
}

/// The id of a request, in the same way.
pub(crate) fn request_id_at_end(bytes: &[u8]) -> Option<RequestId> {
    if let Some((_, number)) = number_at_end(bytes, REQUEST) {
        return Some(number.into());
    }
    // An id in another form: the key is searched for near the end. If exactly one JSON value lies between it and the
    // last brace, the key is the envelope's.
    let front = bytes.strip_suffix(b"}")?;
    let longest = REQUEST.len() + RequestId::MAX_LEN + 2;
    let tail = &front[front.len().saturating_sub(longest)..];
    let at = memchr::memmem::rfind(tail, REQUEST.as_bytes())? + REQUEST.len();
    let value = std::str::from_utf8(&tail[at..]).ok()?;
    let _: &RawValue = serde_json::from_str(value).ok()?;
    RequestId::read(value.trim_matches(WHITE_SPACE))
}

/// The number behind the key at the end, and what is in front of the key.
#[inline]
fn number_at_end<'b>(bytes: &'b [u8], key: &str) -> Option<(&'b [u8], u64)> {
    // Most messages end differently.
    let front = bytes.strip_suffix(b"}").filter(|front| front.last().is_some_and(u8::is_ascii_digit))?;
    let digits = front.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (front, digits) = front.split_at(front.len() - digits);
    let front = front.strip_suffix(key.as_bytes())?;
    Some((front, number_of(digits)?))
}
