//! All methods of a struct, attached in one call.

use std::sync::Arc;

use super::Handles;
use super::attaching::Attaching;
use super::endpoint::{Endpoint, Receives};
use crate::client::{Client, ClientHandle};
use crate::error::RegisterError;
use crate::listener::ListenerId;
use crate::server::{Server, ServerHandle};
use crate::topic::direction::AnyTopic;

/// A struct that is being attached: its methods share one `ListenerId`.
#[doc(hidden)]
#[derive(Debug)]
pub struct AttachingAll<'a, L, E: Endpoint> {
    handle: &'a E::Handle,
    handlers: &'a Arc<L>,
    listener: ListenerId,
}

impl<L, E: Endpoint> AttachingAll<'_, L, E> {
    /// Attaches the method of one topic.
    pub fn topic<T>(&self) -> Result<(), RegisterError>
    where
        L: Handles<T, E>,
    {
        L::attach(Attaching::new(self.handle, self.handlers, self.listener))
    }
}

/// The topics of a struct's `#[handlers]` block on an endpoint without a protocol.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `#[handlers]` block for `{E}`",
    label = "no `#[handlers]` block for `{E}`",
    note = "the block of a protocol's struct names it: `#[handlers(server = …)]`, `#[handlers(client = …)]`"
)]
pub trait HandlersBlock<E: Endpoint>: Sized {
    fn attach_block(all: &AttachingAll<'_, Self, E>) -> Result<(), RegisterError>;
}

#[diagnostic::do_not_recommend]
impl<L: HandlersBlock<E>, E: Endpoint> HandlersBlock<E> for Arc<L> {
    fn attach_block(all: &AttachingAll<'_, Self, E>) -> Result<(), RegisterError> {
        let AttachingAll { handle, handlers, listener } = *all;
        L::attach_block(&AttachingAll { handle, handlers, listener })
    }
}

/// A set of topics, for each of which a struct has a method: a tuple of topics, a protocol, or [`AnyTopic`], whose set
/// is that of the struct's block.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no topics for `{E}` to handle",
    label = "no topics for `{E}` to handle"
)]
pub trait Topics<L, E: Endpoint> {
    fn attach_to(all: &AttachingAll<'_, L, E>) -> Result<(), RegisterError>;
}

impl<L: HandlersBlock<Server>> Topics<L, Server> for AnyTopic {
    fn attach_to(all: &AttachingAll<'_, L, Server>) -> Result<(), RegisterError> {
        L::attach_block(all)
    }
}

impl<L: HandlersBlock<Client>> Topics<L, Client> for AnyTopic {
    fn attach_to(all: &AttachingAll<'_, L, Client>) -> Result<(), RegisterError> {
        L::attach_block(all)
    }
}

/// The same as [`Topics`], with the set as parameter: so a call needs to name only the set.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler for one of `{Topics}` on `{E}`",
    label = "not a handler of all these topics"
)]
pub trait HandlesAll<Topics, E: Endpoint>: Sized {
    fn attach_all(self, handle: &E::Handle) -> Result<ListenerId, RegisterError>;
}

impl<L, S: Topics<L, E>, E: Endpoint> HandlesAll<S, E> for L {
    fn attach_all(self, handle: &E::Handle) -> Result<ListenerId, RegisterError> {
        let all = AttachingAll { handle, handlers: &Arc::new(self), listener: ListenerId::next() };
        match S::attach_to(&all) {
            Ok(()) => Ok(all.listener),
            Err(error) => {
                // Either all methods are attached or none.
                E::off(handle, all.listener);
                Err(error)
            }
        }
    }
}

/// Tuples of topics.
macro_rules! tuples {
    ($($topic:ident)*) => {
        impl<L, E, $($topic),*> Topics<L, E> for ($($topic,)*)
        where
            E: Endpoint $(+ Receives<$topic>)*,
            $(L: Handles<$topic, E>,)*
        {
            fn attach_to(all: &AttachingAll<'_, L, E>) -> Result<(), RegisterError> {
                $(all.topic::<$topic>()?;)*
                Ok(())
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D F);
tuples!(A B C D F G);
tuples!(A B C D F G H);
tuples!(A B C D F G H I);
tuples!(A B C D F G H I J);
tuples!(A B C D F G H I J K);
tuples!(A B C D F G H I J K M);
tuples!(A B C D F G H I J K M N);

/// `attach` and `attach_topics` of a server or a client.
macro_rules! attach {
    ($handle:ident, $endpoint:ident) => {
        /// # Methods of a struct
        ///
        /// [`#[handlers]`](macro@crate::handlers) makes the methods of a struct the handlers of their topics.
        impl<P: 'static> $handle<P> {
            /// Attaches all methods of a struct: the topics of the protocol that travel to this endpoint, or, without a
            /// protocol, those of its `#[handlers]` block. A topic of the protocol without a method is a compile error
            /// that names it.
            ///
            /// All of them have one [`ListenerId`], which [`off`](Self::off) removes. The methods share the struct,
            /// which is dropped with the last of them. To keep access to it, pass an [`Arc`] of it.
            ///
            /// # Errors
            ///
            /// [`RegisterError::AlreadyRegistered`]: one of the topics is a request that has a responder. No method is
            /// attached.
            pub fn attach<L>(&self, handlers: L) -> Result<ListenerId, RegisterError>
            where
                P: Topics<L, $endpoint<P>>,
            {
                <L as HandlesAll<P, $endpoint<P>>>::attach_all(handlers, self)
            }

            /// Attaches the methods of a struct for these topics, up to twelve, as [`attach`](Self::attach) does.
            ///
            /// # Errors
            ///
            /// The errors of [`attach`](Self::attach).
            pub fn attach_topics<Topics>(
                &self,
                handlers: impl HandlesAll<Topics, $endpoint<P>>,
            ) -> Result<ListenerId, RegisterError> {
                handlers.attach_all(self)
            }
        }
    };
}

attach!(ServerHandle, Server);
attach!(ClientHandle, Client);
