//! Calling a method, whether or not it takes the context.

use std::sync::Arc;

use super::by_kind::{Returns, ReturnsLater};
use super::endpoint::Endpoint;
use crate::topic::Topic;
use crate::topic::kind::Kind;

/// A method without a context.
#[doc(hidden)]
#[derive(Debug)]
pub struct Plain<F>(pub(super) F);

/// A method with a context.
#[doc(hidden)]
#[derive(Debug)]
pub struct WithContext<F>(pub(super) F);

/// A kind of topics by which methods of the type `C` that do not wait are called. What they return may borrow from the
/// struct (`'h`), and not from the message (`'m`).
// Implemented for the kind and not for the method: a type that is no topic has no kind, so this gives no second error.
// `Kind` is no supertrait: where this is a bound, `Outcome` would be an unknown type.
#[doc(hidden)]
pub trait Calls<'h, 'm, C, L, T: Topic, E: Endpoint> {
    /// Calls the method. `context` is called only if the method takes one.
    fn call(
        method: &C,
        handlers: &'h L,
        message: T::Message<'m>,
        context: impl FnOnce() -> E::Context<'h>,
    ) -> <Self as Kind<T>>::Outcome<'h>
    where
        Self: Kind<T>;
}

impl<'h, 'm, K, L, T, E, F, R> Calls<'h, 'm, Plain<F>, L, T, E> for K
where
    K: Returns<'h, T, R>,
    L: 'h,
    T: Topic,
    E: Endpoint,
    F: Fn(&'h L, T::Message<'m>) -> R,
{
    #[inline]
    fn call(
        method: &Plain<F>,
        handlers: &'h L,
        message: T::Message<'m>,
        _context: impl FnOnce() -> E::Context<'h>,
    ) -> K::Outcome<'h> {
        K::outcome((method.0)(handlers, message))
    }
}

impl<'h, 'm, K, L, T, E, F, R> Calls<'h, 'm, WithContext<F>, L, T, E> for K
where
    K: Returns<'h, T, R>,
    L: 'h,
    T: Topic,
    E: Endpoint,
    F: Fn(&'h L, T::Message<'m>, E::Context<'h>) -> R,
{
    #[inline]
    fn call(
        method: &WithContext<F>,
        handlers: &'h L,
        message: T::Message<'m>,
        context: impl FnOnce() -> E::Context<'h>,
    ) -> K::Outcome<'h> {
        K::outcome((method.0)(handlers, message, context()))
    }
}

/// A kind of topics by which methods of the type `C` that wait are called.
#[doc(hidden)]
pub trait AsyncCalls<C, L, T, E: Endpoint, O> {
    /// What a method makes, which returns the outcome, an `O`.
    type Future: Future<Output = O> + Send + 'static;

    /// Calls the method. `context` is called only if the method takes one.
    fn begin(
        method: &C,
        handlers: Arc<L>,
        message: T,
        context: impl FnOnce() -> E::Context<'static>,
    ) -> Self::Future;
}

impl<K, L, T, E, F, R> AsyncCalls<Plain<F>, L, T, E, K::Outcome<'static>> for K
where
    K: ReturnsLater<T, R::Output>,
    E: Endpoint,
    F: Fn(Arc<L>, T) -> R,
    R: Future + Send + 'static,
{
    type Future = K::Later<R>;

    #[inline]
    fn begin(
        method: &Plain<F>,
        handlers: Arc<L>,
        message: T,
        _context: impl FnOnce() -> E::Context<'static>,
    ) -> K::Later<R> {
        K::later((method.0)(handlers, message))
    }
}

impl<K, L, T, E, F, R> AsyncCalls<WithContext<F>, L, T, E, K::Outcome<'static>> for K
where
    K: ReturnsLater<T, R::Output>,
    E: Endpoint,
    F: Fn(Arc<L>, T, E::Context<'static>) -> R,
    R: Future + Send + 'static,
{
    type Future = K::Later<R>;

    #[inline]
    fn begin(
        method: &WithContext<F>,
        handlers: Arc<L>,
        message: T,
        context: impl FnOnce() -> E::Context<'static>,
    ) -> K::Later<R> {
        K::later((method.0)(handlers, message, context()))
    }
}
