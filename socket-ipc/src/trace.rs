//! Traces that cross the wire: the span that a request is sent in is the parent of the span that its responder runs in.
//!
//! What crosses is a `traceparent` of the W3C's [Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header).

use std::cell::RefCell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

thread_local! {
    /// The trace of the request that is being dispatched on this thread.
    static DISPATCHED: RefCell<Option<Remote>> = const { RefCell::new(None) };
}

/// The trace that a request came with.
#[derive(Clone, Debug)]
struct Remote {
    span: SpanContext,
    /// Whether the peer may decide what is recorded here.
    is_trusted: bool,
}

/// The trace of the current span as the JSON text of a `traceparent`. `None` outside of a span of OpenTelemetry.
pub(crate) fn current() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    let (trace, parent, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    span.is_valid().then(|| format!("\"00-{trace:032x}-{parent:016x}-{flags:02x}\""))
}

/// Says which trace the spans that [`of_request`] gets belong to, until the returned value is dropped. `text` is the JSON
/// text of a `traceparent`; a malformed one is ignored, as is none.
pub(crate) fn dispatching(text: Option<&str>, is_trusted: bool) -> Dispatching {
    let remote = text.and_then(read).map(|span| Remote { span, is_trusted });
    Dispatching(DISPATCHED.replace(remote))
}

/// A request, while it is dispatched, and the trace that was there before it: a responder may run another endpoint.
pub(crate) struct Dispatching(Option<Remote>);

impl Drop for Dispatching {
    fn drop(&mut self) {
        DISPATCHED.set(self.0.take());
    }
}

/// Makes the span of a responder a child of its request's span, or the first of a trace of its own.
///
/// A peer that is not trusted does not decide what is recorded: its span is linked, and the trace is one of this
/// process.
pub(crate) fn of_request(span: Span) -> Span {
    let remote = DISPATCHED.with_borrow(Clone::clone);
    // An error is a span that no subscriber of OpenTelemetry takes. Without a parent it would belong to the span of the
    // connection, which ends with the connection.
    let _ = match &remote {
        Some(Remote { span: parent, is_trusted: true }) => {
            span.set_parent(Context::new().with_remote_span_context(parent.clone()))
        }
        _ => span.set_parent(Context::new()),
    };
    if let Some(Remote { span: linked, is_trusted: false }) = remote {
        span.add_link(linked);
    }
    span
}

/// Reads a `traceparent`.
fn read(text: &str) -> Option<SpanContext> {
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
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & TraceFlags::SAMPLED.to_u8());
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
        for (text, is_sampled) in [
            (format!("\"00-{trace}-{parent}-01\""), true),
            (format!("\"00-{trace}-{parent}-00\""), false),
            (format!("\"00-{trace}-{parent}-ff\""), true),
            (format!("\"cc-{trace}-{parent}-01-what the future will be like\""), true),
        ] {
            let read = read(&text).unwrap_or_else(|| panic!("{text} was not read"));
            let ids = (format!("{:032x}", read.trace_id()), format!("{:016x}", read.span_id()));
            assert_eq!(ids, (trace.to_owned(), parent.to_owned()));
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
            assert!(read(&text).is_none(), "{text} was read");
        }
    }
}
