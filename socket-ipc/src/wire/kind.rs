//! What an envelope is beside its topic and message: a message, a request, or a reply.

use std::fmt;
use std::sync::Arc;

/// Whether an envelope is a message, a request or a reply.
///
/// A request has an `id` behind its message, and its reply repeats it as `re`. A peer that does not know them ignores
/// both.
///
/// ```
/// use socket_ipc::{EnvelopeKind, Wire};
///
/// let kind = |text: &str| Wire::JSON_LINES.decode(text.as_bytes()).map(|envelope| envelope.kind);
/// assert_eq!(kind(r#"{"topic":"add","message":[1,2]}"#)?, EnvelopeKind::Message);
/// assert_eq!(kind(r#"{"topic":"add","message":[1,2],"id":7}"#)?, EnvelopeKind::Request(7.into()));
/// assert_eq!(kind(r#"{"topic":"sum","message":3,"re":7}"#)?, EnvelopeKind::Reply(7.into()));
/// # Ok::<(), socket_ipc::EnvelopeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum EnvelopeKind {
    /// Nothing is expected back: neither `id` nor `re`.
    #[default]
    Message,
    /// Its `id`, which the reply repeats.
    Request(RequestId),
    /// The `id` of the request, as `re`.
    Reply(RequestId),
}

/// What a peer wants of an endpoint by an envelope.
///
/// ```
/// use socket_ipc::{AttemptKind, ErrorReply, Server};
///
/// let server = Server::builder("/tmp/myApp.sock")
///     .authorize(|attempt| match attempt.kind() {
///         AttemptKind::Stream => Err(ErrorReply::new(ErrorReply::FORBIDDEN, "no streams here")),
///         _ => Ok(()),
///     })
///     .build();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptKind {
    /// To send a message without an `id`, to which no reply is expected. The responder of its topic is called, too, if
    /// there is one: a program that guards a request goes by the topic, and not by this.
    Message,
    /// To get a reply: there is an `id`.
    Request,
    /// To get a stream of items: there is an `id` and a `window`.
    Stream,
}

/// The recipient of what a responder returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyTo {
    /// The request with this id.
    Request(RequestId),
    /// A request without an id: the listeners of the reply's topic.
    Listeners,
    /// Nobody: the request has no id, and its replies have no topic of their own.
    Nobody,
}

/// How many bytes of items the requester of a stream takes until it says that it takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Bytes(u64),
    /// Any number: the requester is paced by its socket alone.
    Unlimited,
}

/// What an envelope says of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StreamPart<'m> {
    /// Nothing.
    #[default]
    None,
    /// A request of a stream.
    Request(Window),
    /// A request with this `window`, which is neither a number of bytes nor `null`.
    OddWindow(&'m str),
    /// A responder has begun to reply.
    Started,
    /// One item; more may follow.
    Item,
}

/// The id of a request: an integral number or a string. It is kept as it was written, because the reply has to repeat
/// it.
///
/// This library numbers its own requests from 1. Other programs write `7.0`, `"7"` or a UUID.
///
/// ```
/// use socket_ipc::{EnvelopeKind, Wire};
///
/// let envelope = Wire::JSON_LINES.decode(br#"{"topic":"add","message":[1,2],"id":"a-7"}"#)?;
/// let EnvelopeKind::Request(id) = envelope.kind else { panic!("no request") };
/// assert_eq!(id.to_string(), r#""a-7""#);
/// # Ok::<(), socket_ipc::EnvelopeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Form);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Form {
    /// As this library writes it.
    Number(u64),
    /// JSON text of any other form.
    Text(Arc<str>),
}

impl RequestId {
    /// The longest id, in bytes; the quotes of a string do not count.
    pub const MAX_LEN: usize = 64;

    /// Reads the JSON value of an `id` or `re`. `None` where it is no valid id.
    pub(crate) fn read(value: &str) -> Option<Self> {
        if let Ok(number) = value.parse::<u64>() {
            return Some(Self::from(number));
        }
        let (is_id, len) = match value.as_bytes().first()? {
            b'"' => (true, value.len() - 2),
            b'-' | b'0'..=b'9' => (integer(value).is_some(), value.len()),
            _ => (false, 0),
        };
        (is_id && len <= Self::MAX_LEN).then(|| Self(Form::Text(value.into())))
    }

    /// Its number, in whatever form it was written; `None` if no request of this library can have this id.
    pub(crate) fn number(&self) -> Option<u64> {
        match &self.0 {
            Form::Number(number) => Some(*number),
            Form::Text(text) => integer(text)?.parse().ok(),
        }
    }

    /// The id as it has to be repeated: a number, or `Err` of JSON text.
    pub(super) fn text(&self) -> Result<u64, &str> {
        match &self.0 {
            Form::Number(number) => Ok(*number),
            Form::Text(text) => Err(text),
        }
    }
}

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(Form::Number(number))
    }
}

/// As JSON, as it was written.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Number(number) => number.fmt(f),
            Form::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The digits of an integral JSON number, without an exponent. `None` where it has a fraction, is no number, or is
/// longer than any id.
fn integer(number: &str) -> Option<String> {
    if number.len() > RequestId::MAX_LEN {
        return None;
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let shift = exponent.parse::<i64>().ok()?.checked_sub(fraction.len().try_into().ok()?)?;
    if let Ok(zeros) = usize::try_from(shift) {
        let is_short = digits.len().saturating_add(zeros) <= 2 * RequestId::MAX_LEN;
        return is_short.then(|| format!("{sign}{digits}{}", "0".repeat(zeros)));
    }
    let end = digits.len().checked_sub(usize::try_from(shift.unsigned_abs()).ok()?)?;
    let (digits, rest) = digits.split_at(end);
    (!digits.is_empty() && rest.bytes().all(|digit| digit == b'0')).then(|| format!("{sign}{digits}"))
}

/// The key of the id of a request.
pub(super) const ID: &str = "id";

/// The key under which a reply repeats it.
pub(super) const RE: &str = "re";

/// The key that makes a reply an error reply, where it is `true`.
pub(super) const ERROR: &str = "error";

/// The key of a request that makes it one of a stream.
pub(super) const WINDOW: &str = "window";

/// The key of the line that says that a stream has begun, where it is `true`.
pub(super) const STARTED: &str = "started";

/// The key of an item of a stream, where it is `true`.
pub(super) const MORE: &str = "more";

/// The key that a trace has beside `id`.
pub(super) const TRACE: &str = "trace";

/// The keys of an envelope beside that of the message.
pub(super) const KEYS: [&str; 8] = ["topic", ID, RE, ERROR, WINDOW, STARTED, MORE, TRACE];

impl Window {
    /// Reads the JSON value of `window`. `None` where it is neither `null` nor an integral number that is not negative.
    pub(super) fn read(value: &str) -> Option<Self> {
        if value == "null" {
            return Some(Self::Unlimited);
        }
        byte_count(value).map(Self::Bytes)
    }
}

/// The JSON text of a number of bytes; at most `u64::MAX`, however large it is. `None` where it is no integral number,
/// or negative.
pub(crate) fn byte_count(value: &str) -> Option<u64> {
    if let Ok(bytes) = value.parse() {
        return Some(bytes);
    }
    if !value.starts_with(|first: char| first.is_ascii_digit()) {
        // `-0` is the one number with a sign that is not negative.
        return integer(value).filter(|digits| digits == "0").map(|_| 0);
    }
    match integer(value) {
        Some(digits) => Some(digits.parse().unwrap_or(u64::MAX)),
        // Too long to be read exactly: it is integral if it is beyond the precision of a float.
        None => value.parse().ok().filter(|bytes: &f64| *bytes >= u64::MAX as f64).map(|_| u64::MAX),
    }
}

impl EnvelopeKind {
    /// The kind of an envelope with these ids. One with `re` is a reply, even if it has an `id`, too.
    pub(super) fn of(id: Option<RequestId>, re: Option<RequestId>) -> Self {
        match (id, re) {
            (_, Some(re)) => Self::Reply(re),
            (Some(id), None) => Self::Request(id),
            (None, None) => Self::Message,
        }
    }

    /// The recipient of the reply to this. `has_reply_topic` says whether replies have a topic of their own.
    pub(crate) fn reply_to(&self, has_reply_topic: bool) -> ReplyTo {
        match self {
            Self::Request(id) => ReplyTo::Request(id.clone()),
            Self::Message | Self::Reply(_) if has_reply_topic => ReplyTo::Listeners,
            Self::Message | Self::Reply(_) => ReplyTo::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn request_id_integral_number_or_short_string_is_read() {
        for (text, number) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("7.0", Some(7)),
            ("7.000", Some(7)),
            ("70e-1", Some(7)),
            ("0.7E+1", Some(7)),
            ("1e3", Some(1000)),
            ("-0", Some(0)),
            ("-0.0e99", Some(0)),
            ("-7", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551615.0", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1e64", None),
            ("1e127", None),
            (&"1".repeat(64), None),
            (r#""7""#, None),
            (r#""""#, None),
            (r#""0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b""#, None),
        ] {
            let id = RequestId::read(text).unwrap_or_else(|| panic!("{text} is no id"));
            assert_eq!((id.number(), id.to_string()), (number, text.to_owned()), "{text}");
            assert_eq!(format!("{id:?}"), text);
        }
        let longest = format!("\"{}\"", "x".repeat(64));
        assert_eq!(RequestId::read(&longest).map(|id| id.to_string()), Some(longest));
        let longer = format!("\"{}\"", "x".repeat(65));
        for text in [
            "7.5",
            "-7.5",
            "7e-1",
            "1e128",
            "1e999",
            "1e99999999999999999999",
            "null",
            "true",
            "[7]",
            "{}",
            &longer,
            &"1".repeat(65),
        ] {
            assert_eq!(RequestId::read(text), None, "{text}");
        }
    }

    #[test]
    fn window_number_of_bytes_or_null_is_read() {
        for (text, window) in [
            ("0", Some(Window::Bytes(0))),
            ("262144", Some(Window::Bytes(262_144))),
            ("1e3", Some(Window::Bytes(1000))),
            ("7.0", Some(Window::Bytes(7))),
            ("-0", Some(Window::Bytes(0))),
            ("18446744073709551616", Some(Window::Bytes(u64::MAX))),
            ("1e300", Some(Window::Bytes(u64::MAX))),
            ("1e999", Some(Window::Bytes(u64::MAX))),
            ("null", Some(Window::Unlimited)),
            ("-1", None),
            ("0.5", None),
            ("-1e300", None),
            ("true", None),
            (r#""7""#, None),
            ("[7]", None),
            ("{}", None),
        ] {
            assert_eq!(Window::read(text), window, "{text}");
        }
    }

    proptest! {
        #[test]
        fn request_id_number_matches_decimal_value(
            whole in 0_u32..2_000, fraction in "[0-9]{0,3}", exponent in -3_i32..4,
        ) {
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{whole}{point}{fraction}e{exponent}");
            let digits: u64 = format!("{whole}{fraction}").parse().unwrap();
            let shift = exponent - fraction.len() as i32;
            let scale = 10_u64.pow(shift.unsigned_abs());
            let expected = match shift {
                0.. => Some(digits * scale),
                _ => digits.is_multiple_of(scale).then_some(digits / scale),
            };
            prop_assert_eq!(RequestId::read(&text).and_then(|id| id.number()), expected, "{}", text);
        }
    }
}
