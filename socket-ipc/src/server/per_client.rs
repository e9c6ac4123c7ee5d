//! Values that a program keeps for each client, while the client is connected.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, RwLock, Weak};

use foldhash::fast::FixedState;

use super::handle::ServerHandle;
use super::state::State;
use crate::client_id::ClientId;
use crate::listener::caught;
use crate::sync::{lock, read, write};

/// A value for each client: made at its first use, and dropped after the client's connection has ended. Made by
/// [`per_client`](ServerHandle::per_client).
///
/// Cheap to clone: all clones have the same values. Its values are shared, so a value that changes has a
/// [`Mutex`] or an atomic in it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{ErrorReply, Server, Topic};
/// use std::sync::Mutex;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "put", reply = usize)]
/// struct Put { item: String }
///
/// #[derive(Default)]
/// struct Cart { items: Mutex<Vec<String>> }
///
/// let server = Server::new("/tmp/shop.sock");
/// let carts = server.per_client(|_client_id| Cart::default());
/// let abandoned = carts.clone();
/// server.respond::<Put>(move |Put { item }, client_id| {
///     let cart = carts.get(client_id).ok_or(ErrorReply::new("gone", "you have left"))?;
///     let mut items = cart.items.lock().unwrap();
///     items.push(item);
///     Ok::<_, ErrorReply>(items.len())
/// })?;
/// server.on_connection_close(move |client_id, _reason| {
///     if let Some(cart) = abandoned.get(client_id) {
///         println!("client {client_id} leaves {:?} behind", cart.items.lock().unwrap());
///     }
/// });
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
pub struct PerClient<T> {
    values: Arc<Values<T>>,
}

struct Values<T> {
    make: Box<dyn Fn(ClientId) -> T + Send + Sync>,
    made: RwLock<HashMap<ClientId, Arc<T>, FixedState>>,
    /// Weak: a listener, which the server owns, may own the values.
    server: Weak<State>,
}

/// All values for each client of a server.
#[derive(Default)]
pub(super) struct PerClients {
    all: Mutex<Vec<Weak<dyn Take>>>,
}

/// Values whose type is not known here.
trait Take: Send + Sync {
    /// Takes the value of a client, or all values, out: they are dropped by the caller, as they may panic.
    fn take(&self, of: Option<ClientId>) -> Vec<Arc<dyn Any + Send + Sync>>;
}

impl<P> ServerHandle<P> {
    /// Keeps a value for each client, which `make` makes at its first use: what a program knows of a client while the
    /// client is connected.
    ///
    /// [`PerClient::get`] returns it, in every listener and responder of the client, and in the listeners of
    /// `on_connection` and `on_connection_close`. It is dropped once `on_connection_close` has been reported. Messages
    /// that lie in a subscription, and [`ServerEvent::Disconnected`](crate::ServerEvent), may be read later than that,
    /// so a loop over a subscription or over [`events`](Self::events) keeps a map of its own. Requests from other
    /// machines have no value, as they come from no client of this server.
    ///
    /// No lock is held while `make` runs. Two first uses at one moment may both call it: one of the values is kept, and
    /// the other one is dropped.
    ///
    /// [`PerClient`] has an example.
    pub fn per_client<T>(&self, make: impl Fn(ClientId) -> T + Send + Sync + 'static) -> PerClient<T>
    where
        T: Send + Sync + 'static,
    {
        let server = Arc::downgrade(&self.state);
        let values = Arc::new(Values { make: Box::new(make), made: RwLock::default(), server });
        self.state.per_clients.add(&values);
        PerClient { values }
    }
}

impl<T> PerClient<T> {
    /// Returns the value of a client, and makes it if this is its first use. `None` before the client is connected and
    /// once it has gone.
    ///
    /// In a listener of `on_connection_close` it returns the value if there is one, and makes none.
    ///
    /// # Panics
    ///
    /// Where the closure that makes the value panics, and then no value is kept; where another call was faster, and the
    /// value that is not needed panics as it is dropped.
    #[must_use]
    pub fn get(&self, client_id: ClientId) -> Option<Arc<T>> {
        let Values { make, made, server } = &*self.values;
        if let Some(value) = read(made).get(&client_id) {
            return Some(Arc::clone(value));
        }
        let server = server.upgrade()?;
        if !server.is_connected(client_id) {
            return None;
        }
        // Before the lock, so that it is dropped after the lock is released, unless it is kept.
        let value = Arc::new(make(client_id));
        let mut made = write(made);
        // Checked under the lock, which the end of a connection takes to forget the value.
        if !server.is_connected(client_id) {
            return made.get(&client_id).cloned();
        }
        Some(Arc::clone(made.entry(client_id).or_insert_with(|| Arc::clone(&value))))
    }
}

impl PerClients {
    fn add<T: Send + Sync + 'static>(&self, values: &Arc<Values<T>>) {
        let mut all = lock(&self.all);
        all.retain(|values| values.strong_count() > 0);
        let values: Arc<dyn Take> = Arc::<Values<T>>::clone(values);
        all.push(Arc::downgrade(&values));
    }
}

impl<T: Send + Sync + 'static> Take for Values<T> {
    fn take(&self, of: Option<ClientId>) -> Vec<Arc<dyn Any + Send + Sync>> {
        let mut made = write(&self.made);
        match of {
            Some(client_id) => made.remove(&client_id).into_iter().map(|value| value as _).collect(),
            None => made.drain().map(|(_, value)| value as _).collect(),
        }
    }
}

impl State {
    /// Whether a client is connected: its connection has been reported, and its end has not.
    fn is_connected(&self, client_id: ClientId) -> bool {
        self.clients.recipients().read().get(&client_id).is_some_and(|client| client.is_open())
    }

    /// Drops what the program keeps for a client, or for all clients.
    pub(super) fn forget(&self, client_id: Option<ClientId>) {
        let report = |panic| {
            self.core.events.report_panic("`per_client`, as a value was dropped,", client_id, panic);
        };
        // No lock is held while values are dropped. Each is dropped by itself, so that one that panics keeps no other.
        let all: Vec<_> = lock(&self.per_clients.all).iter().filter_map(Weak::upgrade).collect();
        for values in all {
            for value in values.take(client_id) {
                let _ = caught(|| drop(value)).map_err(report);
            }
            // These may be the last ones that know the closure that makes values.
            let _ = caught(|| drop(values)).map_err(report);
        }
    }
}

impl<T> Clone for PerClient<T> {
    fn clone(&self) -> Self {
        Self { values: Arc::clone(&self.values) }
    }
}

impl<T> fmt::Debug for PerClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerClient").field("clients", &read(&self.values.made).len()).finish_non_exhaustive()
    }
}
