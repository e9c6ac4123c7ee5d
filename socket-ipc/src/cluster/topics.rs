//! Topics that are named by their types, one or several.

use std::sync::Arc;

use super::error::ForwardError;
use super::shared::Shared;
use super::{forward, forward_streams};
use crate::topic::direction::ToServer;
use crate::topic::{Exchange, Request, StreamRequest, Topic, kind};

/// Topics that a node can [offer](super::Cluster::offer): one to the server, or a tuple of them.
///
/// It is implemented for all of them; there is nothing to implement.
pub trait OfferedTopics<P> {
    #[doc(hidden)]
    fn names() -> Vec<&'static str>;
}

/// Requests that a node can [forward](super::Cluster::forward), of single replies or of streams: one to the server, or a
/// tuple of them.
///
/// It is implemented for all of them; there is nothing to implement.
pub trait ForwardedRequests<P> {
    #[doc(hidden)]
    fn attach(to: &Attaching<'_>) -> Result<(), ForwardError>;
}

/// Where responders are attached that forward.
#[doc(hidden)]
pub struct Attaching<'s>(pub(super) &'s Arc<Shared>);

impl std::fmt::Debug for Attaching<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attaching").finish_non_exhaustive()
    }
}

impl<P: ToServer<T>, T: Topic> OfferedTopics<P> for T {
    fn names() -> Vec<&'static str> {
        vec![T::NAME]
    }
}

impl<P: ToServer<T>, T: Exchange<Kind: ForwardedKind<T>>> ForwardedRequests<P> for T {
    fn attach(to: &Attaching<'_>) -> Result<(), ForwardError> {
        T::Kind::attach(to)
    }
}

/// The kinds of topics that can be forwarded: those that something comes back for.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{T}` can't be forwarded: nothing comes back for it",
    label = "not a request",
    note = "a topic with `reply = …` or `stream = …` in its `#[topic]` can be forwarded"
)]
pub trait ForwardedKind<T: ?Sized> {
    fn attach(to: &Attaching<'_>) -> Result<(), ForwardError>;
}

impl<T: Request> ForwardedKind<T> for kind::Request {
    fn attach(to: &Attaching<'_>) -> Result<(), ForwardError> {
        forward::attach::<T>(to.0)
    }
}

impl<T: StreamRequest> ForwardedKind<T> for kind::Stream {
    fn attach(to: &Attaching<'_>) -> Result<(), ForwardError> {
        forward_streams::attach(to.0, T::NAME)
    }
}

macro_rules! for_tuples {
    ($(($($topic:ident)+))+) => {$(
        impl<P, $($topic: OfferedTopics<P>),+> OfferedTopics<P> for ($($topic,)+) {
            fn names() -> Vec<&'static str> {
                [$($topic::names()),+].concat()
            }
        }

        impl<P, $($topic: ForwardedRequests<P>),+> ForwardedRequests<P> for ($($topic,)+) {
            fn attach(to: &Attaching<'_>) -> Result<(), ForwardError> {
                $($topic::attach(to)?;)+
                Ok(())
            }
        }
    )+};
}

for_tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
}
