//! One method of a struct, on its way to the router.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Handles;
use super::by_kind::{Attach, AttachAsync};
use super::call::{AsyncCalls, Calls, Plain, WithContext};
use super::endpoint::{ContextOf, Endpoint, TravelsTo};
use crate::error::RegisterError;
use crate::listener::ListenerId;
use crate::server::Server;
use crate::topic::Exchange;
use crate::topic::kind::Kind;

/// The place for the handler of one topic: what an impl of [`Handles`] by hand gives its method to.
///
/// The four calls are for methods that wait or do not, with the context of the message or without. What the method
/// returns depends on the topic: nothing for a plain message, the reply or a `Result` of it for a request.
///
/// [`Handles`] has an example.
pub struct Attaching<'a, L, T, E: Endpoint = Server> {
    pub(super) handle: &'a E::Handle,
    pub(super) handlers: &'a Arc<L>,
    /// All methods of a struct have the same.
    pub(super) listener: ListenerId,
    topic: PhantomData<fn() -> T>,
}

impl<'a, L, T, E: Endpoint> Attaching<'a, L, T, E> {
    pub(super) fn new(handle: &'a E::Handle, handlers: &'a Arc<L>, listener: ListenerId) -> Self {
        Self { handle, handlers, listener, topic: PhantomData }
    }

    /// The struct and the handle, for the listener.
    pub(super) fn shared(&self) -> (Arc<L>, E::Handle) {
        (Arc::clone(self.handlers), self.handle.clone())
    }
}

// `L: Handles<T, E>` says what the struct has to be: a struct that is not is reported at its impl, once.
impl<L: Handles<T, E>, T, E: Endpoint> Attaching<'_, L, T, E> {
    /// Checks the type of a method's context, before the method itself: a wrong one would be a mismatch of two long
    /// signatures.
    #[doc(hidden)]
    pub fn with_context_type<C: ContextOf<E>>(self) -> C::Checked<Self> {
        C::checked(self)
    }

    /// Attaches a method that does not wait: `fn(&self, message: T)`.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic is a request, and has a responder.
    pub fn method<F>(self, method: F) -> Result<(), RegisterError>
    where
        T: Exchange<Kind: Attach<T> + TravelsTo<T, E>>,
        T::Kind: for<'h, 'm> Calls<'h, 'm, Plain<F>, L, T, E>,
        F: Send + Sync + 'static,
    {
        T::Kind::attach(self, Plain(method))
    }

    /// Attaches a method that does not wait and takes the context: `fn(&self, message: T, context: Context<'_>)`.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic is a request, and has a responder.
    pub fn method_with_context<F>(self, method: F) -> Result<(), RegisterError>
    where
        T: Exchange<Kind: Attach<T> + TravelsTo<T, E>>,
        T::Kind: for<'h, 'm> Calls<'h, 'm, WithContext<F>, L, T, E>,
        F: Send + Sync + 'static,
    {
        T::Kind::attach(self, WithContext(method))
    }

    /// Attaches a method that waits. Its struct comes in an [`Arc`], so that the future may own it.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic is a request, and has a responder.
    pub fn async_method<F, R>(self, method: F) -> Result<(), RegisterError>
    where
        T: Exchange<Kind: AttachAsync<T> + TravelsTo<T, E> + 'static> + 'static,
        T::Kind: AsyncCalls<Plain<F>, L, T, E, <T::Kind as Kind<T>>::Outcome<'static>>,
        F: Fn(Arc<L>, T) -> R + Send + Sync + 'static,
        R: Future,
    {
        T::Kind::attach_async(self, Plain(method))
    }

    /// Attaches a method that waits and takes the context, which the future may own, too.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic is a request, and has a responder.
    pub fn async_method_with_context<F, R>(self, method: F) -> Result<(), RegisterError>
    where
        T: Exchange<Kind: AttachAsync<T> + TravelsTo<T, E> + 'static> + 'static,
        T::Kind: AsyncCalls<WithContext<F>, L, T, E, <T::Kind as Kind<T>>::Outcome<'static>>,
        F: Fn(Arc<L>, T, E::Context<'static>) -> R + Send + Sync + 'static,
        R: Future,
    {
        T::Kind::attach_async(self, WithContext(method))
    }
}

impl<L, T, E: Endpoint> fmt::Debug for Attaching<'_, L, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attaching").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// A struct behind an [`Arc`] handles the same topics as the struct itself, so a program can keep access to it.
#[diagnostic::do_not_recommend]
impl<L: Handles<T, E>, T, E: Endpoint> Handles<T, E> for Arc<L> {
    fn attach(attaching: Attaching<'_, Self, T, E>) -> Result<(), RegisterError> {
        let Attaching { handle, handlers, listener, .. } = attaching;
        L::attach(Attaching::new(handle, handlers, listener))
    }
}
