//! What has arrived behind a message that is held back.

use std::task::{Context, Poll};

use super::{Dispatcher, take_reply};
use crate::connection::context::ConnectionContext;
use crate::connection::control::Control;
use crate::connection::reply_scanner::may_be_reply;
use crate::connection::session::reader::Reader;
use crate::connection::{EndpointState, Limits};

impl<E: EndpointState> Dispatcher<E> {
    /// Acts on replies, cancels and renewals behind held-back messages: the listener that holds them back may wait for
    /// such a reply, a cancel frees a place among the responders, and a stream goes on. `Ready` if a cancel or a renewal
    /// has found a running responder.
    pub(in crate::connection::session) fn scan(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        context: &ConnectionContext<E>,
    ) -> Poll<()> {
        let Some(skip) = self.held_back(context) else {
            if let Some(held_requests) = &mut self.held_requests {
                held_requests.clear();
            }
            return Poll::Pending;
        };
        let router = context.endpoint.router();
        let Limits { wire, max_requests, .. } = *context.limits();
        let Self { held, held_requests, last_stream, responders, .. } = self;
        let held_requests = held_requests.get_or_insert_default();
        held_requests.forget_before(reader.consumed());
        let (mut acted, mut blanks, mut others) = (false, Vec::new(), Vec::new());
        reader.extract(skip, |bytes, at| {
            if take_reply(bytes, context, last_stream) {
                return true;
            }
            match Control::read(wire, bytes) {
                Some(Control::Cancel(id)) => {
                    router.count_reply(bytes);
                    acted |= responders.cancel(&id, cx);
                    let before = blanks.len();
                    blanks.extend(held_requests.take(&id));
                    if blanks.len() == before {
                        others.push(id);
                    }
                    return true;
                }
                Some(Control::More(id, more)) => {
                    router.count_reply(bytes);
                    acted |= responders.open_window(&id, more, cx);
                    return true;
                }
                None => {}
            }
            held_requests.note(wire, bytes, at, max_requests);
            may_be_reply(bytes) && router.take_reply(bytes, context.from, context)
        });
        for (at, len) in blanks {
            reader.blank(at, len);
        }
        if let Some(held) = held
            && !others.is_empty()
        {
            held.cancel(wire, &reader.unread()[..held.len], &others);
        }
        if acted { Poll::Ready(()) } else { Poll::Pending }
    }
}
