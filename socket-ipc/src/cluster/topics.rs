//! Topics that are named by their types, one or several.

use std::sync::Arc;

use super::error::ForwardError;
use super::forward;
use super::shared::Shared;
use crate::topic::Request;
use crate::topic::Topic;
use crate::topic::direction::ToServer;

/// Topics that a node can [offer](super::Cluster::offer): one to the server, or a tuple of them.
///
/// It is implemented for all of them; there is nothing to implement.
pub trait OfferedTopics<P> {
    #[doc(hidden)]
    fn names() -> Vec<&'static str>;
}

/// Requests that a node can [forward](super::Cluster::forward): one to the server, or a tuple of them.
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

impl<P: ToServer<T>, T: Request> ForwardedRequests<P> for T {
    fn attach(to: &Attaching<'_>) -> Result<(), ForwardError> {
        forward::attach::<T>(to.0)
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
