//! Listeners as methods of a struct: which topics it hears, and how all of them are attached at once.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::client::{Client, ClientHandle};
use crate::client_id::ClientId;
use crate::error::{RegisterError, SendError};
use crate::listener::ListenerId;
use crate::protocol::Protocol;
use crate::server::{Server, ServerHandle};
use crate::topic::direction::{AnyTopic, ToClient};
use crate::topic::{Exchange, Request, Topic};

/// A struct that hears a topic: a listener, or a responder where the topic is a request, as a method.
///
/// A struct implements it once for each topic, and one call of `attach` attaches all its methods. They share the struct,
/// so what they have in common is a field, and needs no `Arc` of its own.
///
/// `S` is where the struct listens: `Server` unless said, or `Server<Chat>`, `Client`, `Client<Chat>`. The method gets
/// the message, and beside it, on a server, who sent it ([`Context`]), or, on a client, its [`ClientHandle`]. It
/// returns nothing, or where the topic is a [`Request`] the reply, `Result<Reply, Error>`.
///
/// The methods are called like listeners of `on` and responders of `respond`: for one connection one after the other,
/// for several connections on several threads. Work that waits belongs in `on_async` and `respond_async`.
///
/// # Examples
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Hears, ErrorReply, Context, Server, Topic};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello { name: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "greeting"]
/// struct Greeting { text: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "count", reply = u64)]
/// struct HowMany;
///
/// #[derive(Default)]
/// struct Room { greeted: AtomicU64 }
///
/// impl Hears<Hello> for Room {
///     fn hear(&self, hello: Hello, context: Context<'_>) {
///         self.greeted.fetch_add(1, Ordering::Relaxed);
///         if let Err(error) = context.send(&Greeting { text: format!("Hello, {}!", hello.name) }) {
///             eprintln!("{error}");
///         }
///     }
/// }
///
/// impl Hears<HowMany> for Room {
///     fn hear(&self, _: HowMany, _: Context<'_>) -> Result<u64, ErrorReply> {
///         Ok(self.greeted.load(Ordering::Relaxed))
///     }
/// }
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.attach::<(Hello, HowMany)>(Room::default())?;
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not hear `{T}`",
    label = "hears no `{T}`",
    note = "implement `Hears<{T}, {S}>` for `{Self}`"
)]
pub trait Hears<T: Exchange, S: Endpoint = Server>: Send + Sync + 'static {
    /// Hears one message: called as a listener of `on` is, or as one of `respond` where the topic is a request.
    fn hear(&self, message: T::Message<'_>, from: S::From<'_>) -> T::Outcome;
}

impl<T: Exchange, S: Endpoint, L: Hears<T, S>> Hears<T, S> for Arc<L> {
    fn hear(&self, message: T::Message<'_>, from: S::From<'_>) -> T::Outcome {
        (**self).hear(message, from)
    }
}

/// The server and the client that sent it a message, for the methods of a struct.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Hears, Context, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News { text: String }
///
/// struct Board;
///
/// impl Hears<News> for Board {
///     fn hear(&self, news: News, context: Context<'_>) {
///         println!("{}: {}", context.client_id(), news.text);
///         if let Err(error) = context.server().broadcast_except(&news, context.client_id()) {
///             eprintln!("{error}");
///         }
///     }
/// }
/// ```
pub struct Context<'s, P = AnyTopic> {
    server: &'s ServerHandle<P>,
    client_id: ClientId,
}

impl<'s, P> Context<'s, P> {
    /// Returns the client that sent the message.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    /// Returns the server that received it.
    #[must_use]
    pub fn server(&self) -> &'s ServerHandle<P> {
        self.server
    }

    /// Queues a message for the client that sent this one.
    ///
    /// # Errors
    ///
    /// Those of [`ServerHandle::send`].
    pub fn send<M>(&self, message: &M) -> Result<(), SendError>
    where
        P: ToClient<M>,
        M: Topic + Serialize,
    {
        self.server.send(message, self.client_id)
    }
}

// Not derived: the protocol itself need not be `Clone`.
impl<P> Clone for Context<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Context<'_, P> {}

impl<P> fmt::Debug for Context<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Where a struct listens: a [`Server`] or a [`Client`], with or without a protocol. There is nothing to implement.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Endpoint, Hears, Topic};
/// use std::sync::Mutex;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News { text: String }
///
/// #[derive(Default)]
/// struct Archive(Mutex<Vec<String>>);
///
/// // on a server and on a client
/// impl<S: Endpoint> Hears<News, S> for Archive {
///     fn hear(&self, news: News, _: S::From<'_>) {
///         self.0.lock().unwrap().push(news.text);
///     }
/// }
/// ```
pub trait Endpoint: Sized + 'static {
    /// What a method gets beside the message: on a server the [`Context`], on a client the [`ClientHandle`].
    type From<'s>;

    #[doc(hidden)]
    type Handle: Clone + fmt::Debug + Send + Sync + 'static;

    #[doc(hidden)]
    fn listen<T, L>(attaching: &Attaching<'_, L, Self>) -> Result<(), RegisterError>
    where
        T: Exchange<Outcome = ()> + 'static,
        L: Hears<T, Self>,
        for<'m> T::Message<'m>: Deserialize<'m>;

    #[doc(hidden)]
    fn respond<T, L>(attaching: &Attaching<'_, L, Self>) -> Result<(), RegisterError>
    where
        T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
        T: for<'m> Topic<Message<'m> = T> + Exchange<Outcome = Result<T::Reply, T::Error>>,
        L: Hears<T, Self>;
}

impl<P: 'static> Endpoint for Server<P> {
    type From<'s> = Context<'s, P>;
    type Handle = ServerHandle<P>;

    fn listen<T, L>(attaching: &Attaching<'_, L, Self>) -> Result<(), RegisterError>
    where
        T: Exchange<Outcome = ()> + 'static,
        L: Hears<T, Self>,
        for<'m> T::Message<'m>: Deserialize<'m>,
    {
        let (hears, server) = (Arc::clone(&attaching.hears), attaching.handle.clone());
        attaching.handle.on_as::<T>(attaching.listener, move |message, client_id| {
            hears.hear(message, Context { server: &server, client_id });
        })
    }

    fn respond<T, L>(attaching: &Attaching<'_, L, Self>) -> Result<(), RegisterError>
    where
        T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
        T: for<'m> Topic<Message<'m> = T> + Exchange<Outcome = Result<T::Reply, T::Error>>,
        L: Hears<T, Self>,
    {
        let (hears, server) = (Arc::clone(&attaching.hears), attaching.handle.clone());
        attaching.handle.respond_as::<T>(attaching.listener, move |request: T, client_id| {
            hears.hear(request, Context { server: &server, client_id })
        })
    }
}

impl<P: 'static> Endpoint for Client<P> {
    type From<'s> = &'s ClientHandle<P>;
    type Handle = ClientHandle<P>;

    fn listen<T, L>(attaching: &Attaching<'_, L, Self>) -> Result<(), RegisterError>
    where
        T: Exchange<Outcome = ()> + 'static,
        L: Hears<T, Self>,
        for<'m> T::Message<'m>: Deserialize<'m>,
    {
        let (hears, client) = (Arc::clone(&attaching.hears), attaching.handle.clone());
        attaching.handle.on_as::<T>(attaching.listener, move |message| hears.hear(message, &client))
    }

    fn respond<T, L>(attaching: &Attaching<'_, L, Self>) -> Result<(), RegisterError>
    where
        T: Request<Reply: Serialize, Error: Serialize> + DeserializeOwned + 'static,
        T: for<'m> Topic<Message<'m> = T> + Exchange<Outcome = Result<T::Reply, T::Error>>,
        L: Hears<T, Self>,
    {
        let (hears, client) = (Arc::clone(&attaching.hears), attaching.handle.clone());
        attaching.handle.respond_as::<T>(attaching.listener, move |request: T| hears.hear(request, &client))
    }
}

/// What a method for `T` returns, which decides how it is attached: as a listener if it returns nothing, as a responder
/// if it returns a reply.
#[doc(hidden)]
pub trait Outcome<T> {
    fn attach<L: Hears<T, S>, S: Endpoint>(attaching: &Attaching<'_, L, S>) -> Result<(), RegisterError>
    where
        T: Exchange;
}

impl<T> Outcome<T> for ()
where
    T: Exchange<Outcome = ()> + 'static,
    for<'m> T::Message<'m>: Deserialize<'m>,
{
    fn attach<L: Hears<T, S>, S: Endpoint>(attaching: &Attaching<'_, L, S>) -> Result<(), RegisterError> {
        S::listen::<T, L>(attaching)
    }
}

impl<T, R, E> Outcome<T> for Result<R, E>
where
    T: Request<Reply = R, Error = E> + DeserializeOwned + 'static,
    T: for<'m> Topic<Message<'m> = T> + Exchange<Outcome = Result<R, E>>,
    R: Serialize,
    E: Serialize,
{
    fn attach<L: Hears<T, S>, S: Endpoint>(attaching: &Attaching<'_, L, S>) -> Result<(), RegisterError> {
        S::respond::<T, L>(attaching)
    }
}

/// A set of topics, for each of which a struct has a method: a tuple of topics, or a protocol, whose set is the topics
/// that travel to that endpoint. There is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no topics for `{S}` to hear",
    label = "nothing to hear"
)]
pub trait Attaches<L, S: Endpoint> {
    #[doc(hidden)]
    fn attach_to(attaching: &Attaching<'_, L, S>) -> Result<(), RegisterError>;
}

/// A struct that has a method for each of a set of topics. The same as [`Attaches`], with the set as parameter: so a call
/// needs to name only the set.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not hear all of `{Topics}`",
    label = "hears not all of these topics",
    note = "implement `Hears<…, {S}>` for `{Self}`, once for each topic"
)]
pub trait HearsAll<Topics, S: Endpoint> {
    fn attach_all(
        self,
        handle: &S::Handle,
        off: impl FnOnce(ListenerId) -> bool,
    ) -> Result<ListenerId, RegisterError>;
}

impl<Topics: Attaches<L, S>, L, S: Endpoint> HearsAll<Topics, S> for L {
    fn attach_all(
        self,
        handle: &S::Handle,
        off: impl FnOnce(ListenerId) -> bool,
    ) -> Result<ListenerId, RegisterError> {
        let attaching = Attaching { handle, hears: Arc::new(self), listener: ListenerId::next() };
        match Topics::attach_to(&attaching) {
            Ok(()) => Ok(attaching.listener),
            Err(error) => {
                // Either all methods are attached or none.
                off(attaching.listener);
                Err(error)
            }
        }
    }
}

/// Tuples of topics.
macro_rules! tuples {
    ($($topic:ident)*) => {
        impl<L, S: Endpoint, $($topic),*> Attaches<L, S> for ($($topic,)*)
        where
            $($topic: Exchange, L: Hears<$topic, S>, $topic::Outcome: Outcome<$topic>),*
        {
            fn attach_to(attaching: &Attaching<'_, L, S>) -> Result<(), RegisterError> {
                $(attaching.method::<$topic>()?;)*
                Ok(())
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K M);

/// A struct that is being attached: its methods share one `ListenerId`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Attaching<'h, L, S: Endpoint> {
    handle: &'h S::Handle,
    hears: Arc<L>,
    listener: ListenerId,
}

impl<L, S: Endpoint> Attaching<'_, L, S> {
    /// Attaches the method of one topic.
    pub fn method<T>(&self) -> Result<(), RegisterError>
    where
        T: Exchange,
        T::Outcome: Outcome<T>,
        L: Hears<T, S>,
    {
        <T::Outcome as Outcome<T>>::attach(self)
    }
}

/// `attach` of a server or a client.
macro_rules! attach {
    ($handle:ident, $endpoint:ident) => {
        /// # Listening with a struct
        impl $handle {
            /// Attaches the methods of a struct for these topics, all under one [`ListenerId`], which
            /// [`off`](Self::off) removes. The methods share the struct, which is dropped with the last of them.
            ///
            /// [`Hears`] has an example. A tuple has up to twelve topics. To keep access to the struct, pass an [`Arc`]
            /// of it.
            ///
            /// # Errors
            ///
            /// [`RegisterError::AlreadyRegistered`]: one of the topics is a request that has a responder. No method is
            /// attached.
            pub fn attach<Topics>(
                &self,
                hears: impl HearsAll<Topics, $endpoint>,
            ) -> Result<ListenerId, RegisterError> {
                hears.attach_all(self, |listener| self.off(listener))
            }
        }

        /// # Listening with a struct
        impl<P: Protocol> $handle<P> {
            /// Attaches the methods of a struct for the topics of the protocol that travel to this endpoint, all under
            /// one [`ListenerId`], which [`off`](Self::off) removes. A topic without a method is a compile error that
            /// names it.
            ///
            /// [`Protocol`](macro@crate::Protocol) has an example. To keep access to the struct, pass an [`Arc`] of it.
            ///
            /// # Errors
            ///
            /// [`RegisterError::AlreadyRegistered`]: one of the topics is a request that has a responder. No method is
            /// attached.
            pub fn attach<L>(&self, hears: L) -> Result<ListenerId, RegisterError>
            where
                P: Attaches<L, $endpoint<P>>,
            {
                <L as HearsAll<P, $endpoint<P>>>::attach_all(hears, self, |listener| self.off(listener))
            }
        }
    };
}

attach!(ServerHandle, Server);
attach!(ClientHandle, Client);
