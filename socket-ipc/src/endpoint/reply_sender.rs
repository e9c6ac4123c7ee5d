//! A reply that is sent later, from anywhere.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use serde::Serialize;
use tokio::sync::watch;

use super::reply_error::ReplyError;
use super::requests::reply_topic;
use super::state::Endpoint;
use crate::client_id::ClientId;
use crate::connection::{self, NotReplied, Outbox, Outcome};
use crate::error::SendError;
use crate::error::error_reply::ErrorReply;
use crate::listener::caught;
use crate::router::{CallResult, OnCancel, Wait};
use crate::topic::Request;
use crate::wire::ReplyTo;

/// Sends the reply to one request, once, from any task or thread: what
/// [`respond_with`](crate::ServerHandle::respond_with) hands to its closure.
///
/// It is what an actor behind a channel needs: the closure passes request and sender on, and returns.
///
/// It takes one of the `max_requests` places of its connection until it is used or dropped. Dropped without a reply, it
/// sends an error reply with the code [`UNANSWERED`](ErrorReply::UNANSWERED).
///
/// On a client, `Peer` is `()`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{ReplySender, Server, Topic};
/// use tokio::sync::mpsc;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "submit", reply = u64)]
/// struct Submit { command: String }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), socket_ipc::RegisterError> {
/// let (jobs, mut submitted) = mpsc::unbounded_channel::<(Submit, ReplySender<Submit>)>();
/// tokio::spawn(async move {
///     let mut id = 0;
///     while let Some((_submit, reply)) = submitted.recv().await {
///         id += 1;
///         if let Err(error) = reply.send(Ok(id)) {
///             eprintln!("{error}");
///         }
///     }
/// });
/// let server = Server::new("/tmp/myApp.sock");
/// server.respond_with::<Submit>(move |submit, reply| {
///     // If the actor is gone, the sender is dropped, and the requester gets an error reply.
///     let _ = jobs.send((submit, reply));
/// })?;
/// # Ok(()) }
/// ```
#[must_use = "dropped without a reply, it sends an error reply"]
pub struct ReplySender<T: Request, Peer = ClientId> {
    call: Box<dyn Deferred<T>>,
    state: Arc<watch::Sender<State>>,
    peer: Peer,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The requester waits for the reply.
    Waiting,
    /// The requester has given up.
    Cancelled,
    /// The connection has ended.
    Closed,
    /// The reply is queued, or the sender is dropped.
    Done,
}

/// A request whose reply comes later, without the type of its endpoint.
trait Deferred<T: Request>: Send + Sync {
    fn send(&self, outcome: &Result<T::Reply, T::Error>) -> Result<(), NotReplied>;

    fn send_async<'c>(
        &'c self,
        outcome: Result<T::Reply, T::Error>,
    ) -> Pin<Box<dyn Future<Output = Option<SendError>> + Send + 'c>>;

    fn unanswered(&self);
}

struct Call<E: Endpoint> {
    endpoint: Weak<E>,
    /// The outbox of the connection that the request came over: a client may have another connection by now.
    outbox: Arc<Outbox>,
    to: ReplyTo,
}

/// Calls a responder with the sender of the reply to its request, which holds a place among the running responders.
pub(super) fn deferred<T, E: Endpoint>(
    endpoint: Weak<E>,
    outbox: Arc<Outbox>,
    peer: E::Peer,
    to: ReplyTo,
    respond: impl FnOnce(ReplySender<T, E::Peer>),
) -> CallResult
where
    T: Request<Reply: Serialize + Send + 'static, Error: Serialize + Send + 'static> + 'static,
{
    let state = Arc::new(watch::Sender::new(State::Waiting));
    let cancelled = Arc::clone(&state);
    let on_cancel = match T::IS_CANCELLED {
        true => OnCancel::Tell(Arc::new(move || advance(&cancelled, &[State::Waiting], State::Cancelled))),
        false => OnCancel::Nothing,
    };
    let (mut done, place) = (state.subscribe(), Place(Arc::clone(&state)));
    let wait: Wait = Box::pin(async move {
        // An error means that the sender is gone.
        let _ = done.wait_for(|state| *state == State::Done).await;
        drop(place);
    });
    let call = Box::new(Call { endpoint, outbox, to: to.clone() });
    let sender = ReplySender { call, state: Arc::clone(&state), peer };
    match caught(|| respond(sender)) {
        Ok(()) => CallResult::Responding { wait, to, on_cancel },
        Err(panic) => {
            // A sender that still exists sends nothing from now on.
            drop(wait);
            // The sender that the panic dropped has told the requester.
            let is_answered = *state.borrow() == State::Done;
            CallResult::Panicked { to: (!is_answered).then_some(to), panic }
        }
    }
}

/// The place of a request among the running responders of its connection, which the connection drops when it ends.
struct Place(Arc<watch::Sender<State>>);

impl Drop for Place {
    fn drop(&mut self) {
        advance(&self.0, &[State::Waiting, State::Cancelled], State::Closed);
    }
}

fn advance(state: &watch::Sender<State>, from: &[State], to: State) {
    state.send_if_modified(|state| {
        let advances = from.contains(state);
        if advances {
            *state = to;
        }
        advances
    });
}

impl<T: Request, Peer> ReplySender<T, Peer> {
    /// Queues the reply: messages that are sent later arrive after it. It never queues beyond `outbox_len`.
    ///
    /// # Errors
    ///
    /// [`ReplyError`]: the requester has given up, the connection has ended, or the outbox is full. A full outbox gives
    /// sender and reply back.
    ///
    /// # Examples
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::{ErrorReply, ReplyError, ReplySender, Topic};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "submit", reply = u64)]
    /// struct Submit { command: String }
    ///
    /// fn refuse(reply: ReplySender<Submit>) -> Result<(), ReplyError<Submit>> {
    ///     reply.send(Err(ErrorReply::new("closed", "no job is taken on sundays")))
    /// }
    /// ```
    pub fn send(self, reply: Result<T::Reply, T::Error>) -> Result<(), ReplyError<T, Peer>> {
        self.check()?;
        let result = match self.call.send(&reply) {
            Ok(()) => Ok(()),
            Err(NotReplied::Full { size, queued, limit }) => {
                return Err(ReplyError::OutboxFull { sender: self, reply, size, queued, limit });
            }
            Err(NotReplied::Closed) => Err(ReplyError::Closed { topic: T::NAME }),
            Err(NotReplied::Unsendable(error)) => Err(ReplyError::Unsendable(error)),
        };
        self.state.send_replace(State::Done);
        result
    }

    /// Queues the reply once there is room for it.
    ///
    /// # Errors
    ///
    /// [`ReplyError`], as by [`send`](Self::send), except that it waits where the outbox is full.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is done, the sender is dropped with it, and sends an error reply.
    pub async fn send_async(self, reply: Result<T::Reply, T::Error>) -> Result<(), ReplyError<T, Peer>> {
        self.check()?;
        let mut state = self.state.subscribe();
        let unsendable = tokio::select! {
            biased;
            unsendable = self.call.send_async(reply) => unsendable,
            _ = state.wait_for(|state| *state != State::Waiting) => None,
        };
        self.check()?;
        self.state.send_replace(State::Done);
        match unsendable {
            Some(error) => Err(ReplyError::Unsendable(error)),
            None => Ok(()),
        }
    }

    /// Waits until nobody waits for the reply: the requester has given up, or the connection has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// use socket_ipc::{ReplySender, Topic};
    ///
    /// # #[derive(Topic, Serialize, Deserialize)]
    /// # #[topic(name = "submit", reply = u64)]
    /// # struct Submit { command: String }
    /// async fn work(reply: ReplySender<Submit>, job: impl Future<Output = u64>) {
    ///     tokio::select! {
    ///         id = job => drop(reply.send(Ok(id))),
    ///         () = reply.cancelled() => println!("nobody waits for the job any more"),
    ///     }
    /// }
    /// ```
    pub async fn cancelled(&self) {
        // An error is not possible: the sender is here.
        let _ = self.state.subscribe().wait_for(|state| *state != State::Waiting).await;
    }

    fn check(&self) -> Result<(), ReplyError<T, Peer>> {
        match *self.state.borrow() {
            State::Waiting | State::Done => Ok(()),
            State::Cancelled => Err(ReplyError::Cancelled { topic: T::NAME }),
            State::Closed => Err(ReplyError::Closed { topic: T::NAME }),
        }
    }
}

impl<T: Request> ReplySender<T> {
    /// Returns the client that the request came from.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.peer
    }
}

impl<T: Request, Peer> Drop for ReplySender<T, Peer> {
    fn drop(&mut self) {
        let waits = *self.state.borrow() == State::Waiting;
        if waits {
            self.call.unanswered();
        }
        self.state.send_replace(State::Done);
    }
}

impl<T: Request, Peer: fmt::Debug> fmt::Debug for ReplySender<T, Peer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplySender")
            .field("topic", &T::NAME)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl<T, E: Endpoint> Deferred<T> for Call<E>
where
    T: Request<Reply: Serialize + Send + 'static, Error: Serialize + Send + 'static>,
{
    fn send(&self, outcome: &Result<T::Reply, T::Error>) -> Result<(), NotReplied> {
        let endpoint = self.endpoint.upgrade().ok_or(NotReplied::Closed)?;
        let outcome = Outcome::of::<T>(outcome);
        connection::reply_within(&*endpoint, &self.outbox, &self.to, reply_topic::<T>(), outcome)
    }

    fn send_async<'c>(
        &'c self,
        outcome: Result<T::Reply, T::Error>,
    ) -> Pin<Box<dyn Future<Output = Option<SendError>> + Send + 'c>> {
        Box::pin(async move {
            let endpoint = self.endpoint.upgrade()?;
            connection::reply_with_room::<T>(&*endpoint, &self.outbox, &self.to, reply_topic::<T>(), outcome)
                .await
        })
    }

    fn unanswered(&self) {
        let Some(endpoint) = self.endpoint.upgrade() else { return };
        let error_reply = if std::thread::panicking() {
            ErrorReply::new(ErrorReply::PANICKED, format!("the responder of `{}` panicked", T::NAME))
        } else {
            let text = format!("the responder of `{}` gave up the request without a reply", T::NAME);
            ErrorReply::new(ErrorReply::UNANSWERED, text)
        };
        let outcome = Err(error_reply);
        let outcome = Outcome::<()>::untyped(&outcome);
        connection::reply(&*endpoint, &self.outbox, &self.to, reply_topic::<T>(), outcome);
    }
}
