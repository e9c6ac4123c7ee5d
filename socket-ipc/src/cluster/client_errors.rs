//! Why a client did not get a message or request of another node, as its node tells that one.

use super::headers::ErrorFrom;
use crate::error::error_reply::ErrorReply;
use crate::error::{RequestError, SendError};
use crate::events::CloseCause;
use crate::wire::raw_message::RawMessage;

/// The error reply for a message or request that was not sent.
pub(super) fn of_send(error: &SendError) -> (ErrorFrom, ErrorReply) {
    let from = match error {
        SendError::UnknownClient { .. } => ErrorFrom::UnknownClient,
        _ => ErrorFrom::Responder,
    };
    (from, ErrorReply::new(ErrorReply::FAILED, error.to_string()))
}

/// The error reply for a request that has no reply.
pub(super) fn of_request(error: RequestError<RawMessage<'static>>) -> (ErrorFrom, ErrorReply) {
    let code = match error {
        RequestError::Send(error) => return of_send(&error),
        RequestError::ConnectionLost { ref cause, .. } => {
            return (ErrorFrom::ConnectionLost, ErrorReply::new(code_of(cause), error.to_string()));
        }
        RequestError::RequestUndecodable { text, .. } => {
            return (ErrorFrom::Responder, ErrorReply::new(ErrorReply::UNDECODABLE, text));
        }
        RequestError::Failed { text, error, .. } => {
            let reply = ErrorReply::new(ErrorReply::FAILED, text).with_data(error);
            return (ErrorFrom::Responder, reply);
        }
        RequestError::Rejected { reply, .. } => return (ErrorFrom::Responder, reply),
        RequestError::NoResponder { .. } => ErrorReply::NO_RESPONDER,
        RequestError::ResponderPanicked { .. } => ErrorReply::PANICKED,
        RequestError::TooManyRequests { .. } => ErrorReply::TOO_MANY_REQUESTS,
        _ => ErrorReply::FAILED,
    };
    (ErrorFrom::Responder, ErrorReply::new(code, error.to_string()))
}

/// The causes that have no content of their own.
const CAUSES: [(&str, CloseCause); 6] = [
    ("peer_closed", CloseCause::PeerClosed),
    ("disconnected", CloseCause::Disconnected),
    ("closed", CloseCause::Closed),
    ("slow_client", CloseCause::SlowClient),
    ("incomplete", CloseCause::Incomplete),
    ("inbox_full", CloseCause::InboxFull),
];

fn code_of(cause: &CloseCause) -> &'static str {
    let same = |other: &CloseCause| std::mem::discriminant(other) == std::mem::discriminant(cause);
    CAUSES.iter().find(|(_, other)| same(other)).map_or("io", |(code, _)| code)
}

/// Why the connection was lost, by the code of the error reply.
pub(super) fn cause_of(code: &str) -> CloseCause {
    let known = CAUSES.iter().find(|(other, _)| *other == code);
    known.map_or_else(
        || CloseCause::Io(std::sync::Arc::new(std::io::ErrorKind::ConnectionReset.into())),
        |(_, cause)| cause.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_comes_back_by_its_code() {
        for (code, cause) in CAUSES {
            assert_eq!(code_of(&cause), code);
            assert_eq!(cause_of(code).to_string(), cause.to_string());
        }
        assert!(matches!(cause_of("io"), CloseCause::Io(_)));
    }
}
