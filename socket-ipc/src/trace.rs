//! Traces that cross the wire: the span that a request is sent in is the parent of the span that its responder runs in.
//!
//! What crosses is a `traceparent` of the W3C's [Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header).

use std::cell::RefCell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

thread_local! {
    /// The trace of the request that is being dispatched.
    static DISPATCHED: RefCell<Option<SpanContext>> = const { RefCell::new(None) };
}

/// The trace of the current span as the JSON text of a `traceparent`. `None` outside of a span of OpenTelemetry.
pub(crate) fn current() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let (trace, parent, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    span.is_valid().then(|| format!("\"00-{trace:032x}-{parent:016x}-{flags:02x}\""))
}

/// Makes the trace of a request that of the spans that [`continued`] gets, until the returned value is dropped. `text` is
/// the JSON text of a `traceparent`; a malformed one is ignored. Of a peer that is not trusted the flag `sampled` is
/// ignored: it could make this process record every request.
pub(crate) fn dispatching(text: &str, is_trusted: bool) -> Dispatching {
    DISPATCHED.set(read(text, is_trusted));
    Dispatching
}

/// A request with a trace, while it is dispatched.
pub(crate) struct Dispatching;

impl Drop for Dispatching {
    fn drop(&mut self) {
        DISPATCHED.set(None);
    }
}

/// Makes a span a child of the request that is being dispatched on this thread, if that has a trace.
pub(crate) fn continued(span: Span) -> Span {
    if let Some(parent) = DISPATCHED.with_borrow(Clone::clone) {
        // An error is a span that no subscriber of OpenTelemetry takes.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span
}

/// Reads a `traceparent`.
fn read(text: &str, is_trusted: bool) -> Option<SpanContext> {
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    // A later version may have more fields after these.
    let (version, rest) = text.split_at_checked(2)?;
    let [trace, parent, flags] = [rest.get(1..33)?, rest.get(34..50)?, rest.get(51..53)?];
    let dashes = [rest.get(..1)?, rest.get(33..34)?, rest.get(50..51)?];
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_whole = match rest.get(53..)? {
        "" => true,
        more => version != "00" && more.starts_with('-'),
    };
    if dashes != ["-"; 3]
        || ![version, trace, parent, flags].into_iter().all(is_hex)
        || version == "ff"
        || !is_whole
    {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()? & TraceFlags::SAMPLED.to_u8();
    let flags = TraceFlags::new(if is_trusted { flags } else { 0 });
    let (trace, parent) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(parent).ok()?);
    let context = SpanContext::new(trace, parent, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_well_formed_is_read_and_other_text_is_not() {
        let (trace, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (text, is_trusted, is_sampled) in [
            (format!("\"00-{trace}-{parent}-01\""), true, true),
            (format!("\"00-{trace}-{parent}-01\""), false, false),
            (format!("\"00-{trace}-{parent}-00\""), true, false),
            (format!("\"00-{trace}-{parent}-ff\""), true, true),
            (format!("\"cc-{trace}-{parent}-01-what the future will be like\""), true, true),
        ] {
            let read = read(&text, is_trusted).unwrap_or_else(|| panic!("{text} was not read"));
            assert_eq!(
                (format!("{:032x}", read.trace_id()), format!("{:016x}", read.span_id())),
                (trace.into(), parent.into())
            );
            assert_eq!((read.is_sampled(), read.is_remote()), (is_sampled, true), "{text}");
        }
        let zeros = "0".repeat(32);
        for text in [
            format!("00-{trace}-{parent}-01"),
            format!("\"00-{trace}-{parent}-0\""),
            format!("\"00-{trace}-{parent}-01-more\""),
            format!("\"01-{trace}-{parent}-01more\""),
            format!("\"ff-{trace}-{parent}-01\""),
            format!("\"00-{}-{parent}-01\"", trace.to_uppercase()),
            format!("\"00-{zeros}-{parent}-01\""),
            format!("\"00-{trace}-{}-01\"", &zeros[16..]),
            format!("\"00-{trace}_{parent}-01\""),
            format!("\"00-{}\u{20ac}-{parent}-01\"", &trace[3..]),
            "\"\"".to_owned(),
            "null".to_owned(),
            "7".to_owned(),
            "{}".to_owned(),
        ] {
            assert!(read(&text, true).is_none(), "{text} was read");
        }
    }
}
