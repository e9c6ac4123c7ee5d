//! Envelopes as this library writes them, decoded in one pass over their text.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::wire::kind::EnvelopeKind;

/// Decodes a message straight from the text of its envelope, of which `rest` begins with the message. `None` where the
/// full parser is needed: the message is not a `T`, or something other than the end of the envelope follows it.
#[inline]
pub(crate) fn decode_one_pass<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<T> {
    let (message, after) = decode_front(rest)?;
    ends_envelope(after).then_some(message)
}

/// [`decode_one_pass`] for a message that may be a request or a reply.
#[inline]
pub(crate) fn decode_any_kind<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<(T, EnvelopeKind)> {
    let (message, after) = decode_front(rest)?;
    let (kind, after) = if let Some(after) = after.strip_prefix(REQUEST) {
        let (id, after) = number(after)?;
        (EnvelopeKind::Request(id.into()), after)
    } else if let Some(after) = after.strip_prefix(REPLY) {
        let (re, after) = number(after)?;
        (EnvelopeKind::Reply(re.into()), after)
    } else {
        (EnvelopeKind::Message, after)
    };
    ends_envelope(after).then_some((message, kind))
}

/// [`decode_one_pass`] for an item of a stream.
#[inline]
pub(crate) fn decode_item<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<T> {
    let (item, after) = decode_front(rest)?;
    let (_, after) = number(after.strip_prefix(ITEM)?.strip_prefix(REPLY)?)?;
    ends_envelope(after).then_some(item)
}

/// What precedes the number of a request, and of a reply, as this library writes it.
pub(super) const REQUEST: &str = ",\"id\":";
pub(super) const REPLY: &str = ",\"re\":";

/// What precedes that in an item of a stream, and in the line that says that a stream has begun.
pub(super) const ITEM: &str = ",\"more\":true";
pub(super) const STARTED: &str = ",\"started\":true";

/// The number that the text begins with. `None` for leading zeros, which JSON forbids: the full parser reports them.
#[inline]
pub(super) fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, after) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    Some((number_of(digits.as_bytes())?, after))
}

/// The number that is written in these digits, in the same way.
// `str::parse` takes three times as many instructions, and each item of a stream has two such numbers.
#[inline]
pub(super) fn number_of(digits: &[u8]) -> Option<u64> {
    if let [] | [b'0', _, ..] = digits {
        return None;
    }
    let next = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    digits.iter().try_fold(0, next)
}

/// Decodes the value that the text begins with, and returns the text that follows.
#[inline]
fn decode_front<'m, T: Deserialize<'m>>(rest: &'m str) -> Option<(T, &'m str)> {
    let mut deserializer = serde_json::Deserializer::from_str(rest);
    let message = T::deserialize(&mut deserializer).ok()?;
    let taken = deserializer.into_iter::<IgnoredAny>().byte_offset();
    if taken == 0 {
        // A `Deserialize` that reads nothing: the full parser finds out whether there is a message.
        return None;
    }
    Some((message, rest.get(taken..)?))
}

/// Whether text is the end of an envelope and nothing else.
#[inline]
fn ends_envelope(text: &str) -> bool {
    // Few peers write white space there.
    text == "}" || ends_envelope_after_white_space(text)
}

fn ends_envelope_after_white_space(text: &str) -> bool {
    let after = text.trim_start_matches(WHITE_SPACE).strip_prefix('}');
    after.is_some_and(|after| after.trim_start_matches(WHITE_SPACE).is_empty())
}

/// The white space of JSON: less than that of ASCII.
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];
