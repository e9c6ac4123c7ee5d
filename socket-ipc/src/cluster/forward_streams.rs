//! Streams of the clients of this node that another node responds to.

use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_core::Stream;

use super::error::ForwardError;
use super::forward::{error_of, no_responder, register};
use super::remote_stream::RemoteStream;
use super::requests::Sent;
use super::shared::Shared;
use crate::client_id::ClientId;
use crate::error::RegisterError;
use crate::error::error_reply::ErrorReply;
use crate::wire::Window;
use crate::wire::raw_message::RawMessage;

/// Attaches a responder that forwards the requests of the stream `topic`, for as long as this server has no other.
pub(super) fn attach(shared: &Arc<Shared>, topic: &'static str) -> Result<(), ForwardError> {
    let weak = Arc::downgrade(shared);
    let forward = move |request: RawMessage<'static>, client: ClientId, window| {
        open(weak.clone(), topic, request, client, window)
    };
    register(shared, topic, |server| server.respond_stream_fallback(topic, forward))
}

/// Resolves to the items once the responder of another node has begun.
async fn open(
    shared: Weak<Shared>,
    topic: &'static str,
    request: RawMessage<'static>,
    client: ClientId,
    window: Window,
) -> Result<impl Stream<Item = Result<RawMessage<'static>, ErrorReply>> + Send, ErrorReply> {
    // A request that came from another node is never forwarded: it could go round for ever.
    let Some(shared) = shared.upgrade().filter(|_| !client.is_remote()) else {
        return Err(no_responder(topic));
    };
    let (subject, window) = (shared.subjects.requests(topic), shared.window_here(window));
    let payload = request.as_str().as_bytes().to_vec();
    let opened = RemoteStream::open(shared, subject, client.get(), payload, window).await;
    let stream = opened.map_err(|sent| error_of(topic, sent))?;
    match poll_fn(|cx| stream.poll_started(cx)).await {
        // An end before the start is one of a stream without items.
        Ok(()) | Err(None) => Ok(futures_util::stream::poll_fn(items(topic, stream))),
        Err(Some(sent)) => Err(error_of(topic, sent)),
    }
}

/// The items for the client. They are taken while its window is open, which holds up the other node in turn.
fn items(
    topic: &'static str,
    stream: RemoteStream,
) -> impl FnMut(&mut Context<'_>) -> Poll<Option<Result<RawMessage<'static>, ErrorReply>>> + Send {
    let mut open = Some(stream);
    move |cx| {
        let Some(stream) = &mut open else { return Poll::Ready(None) };
        let item = std::task::ready!(stream.poll_item(cx));
        let item = item.map_err(|end| end.map(|sent| error_of(topic, sent)));
        let item = item.and_then(|text| {
            let undecodable =
                |error: serde_json::Error| error_of(topic, Sent::Undecodable(error.to_string()));
            serde_json::from_slice(text).map_err(|error| Some(undecodable(error)))
        });
        if item.is_err() {
            // Its node is told, unless it knows.
            open = None;
        }
        Poll::Ready(match item {
            Ok(item) => Some(Ok(item)),
            Err(end) => end.map(Err),
        })
    }
}

impl Shared {
    /// The window for a stream that this node hands on, to a requester whose own is `window`. What lies unread here is no
    /// more than an item may be long, however much the requester takes.
    pub(super) fn window_here(&self, window: Window) -> u64 {
        let usual = self.server.limits().stream_window.max(1);
        match window {
            Window::Bytes(0) | Window::Unlimited => usual,
            Window::Bytes(bytes) => bytes.min(usual.max(self.max_payload() as u64)),
        }
    }
}

/// Why a stream can't be forwarded.
pub(super) fn forward_error(topic: &str, error: &RegisterError) -> ForwardError {
    let topic = topic.to_owned();
    match error {
        RegisterError::NoStreams { .. } => ForwardError::NoStreams { topic },
        // Only another forwarder is in its way.
        _ => ForwardError::AlreadyForwarded { topic },
    }
}
