//! Listeners and responders that are methods of a struct.
//!
//! `#[handlers]` writes an impl of [`Handles`] for each method. What a method returns is converted by the kind of its
//! topic ([`Exchange::Kind`](crate::Exchange::Kind)), which the attribute cannot see.

pub(crate) mod attaching;
mod by_kind;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod endpoint;
mod owning_stream;
pub(crate) mod set;

use crate::error::RegisterError;
use crate::server::Server;

pub use attaching::Attaching;
pub use context::{ClientContext, Context};
pub use endpoint::Endpoint;

/// A struct that has a handler for a topic: a method that is called with every message of it.
///
/// [`#[handlers]`](macro@crate::handlers) writes it for each method of a block. `attach` and `attach_topics` of a
/// [`ServerHandle`](crate::ServerHandle::attach) and a [`ClientHandle`](crate::ClientHandle::attach) attach all of
/// them. `E` is where the struct handles the topic: [`Server`] unless named, or `Server<Jobs>`, `Client`,
/// `Client<Jobs>`.
///
/// # By hand
///
/// An impl attaches the method with one of the calls of [`Attaching`]:
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Attaching, Context, Handles, RegisterError, Server, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "note"]
/// struct Note { text: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "load", reply = String)]
/// struct Load { path: String }
///
/// struct Desk;
///
/// impl Desk {
///     fn note(&self, note: Note, context: Context<'_>) {
///         println!("{}: {}", context.client_id(), note.text);
///     }
///
///     async fn load(&self, load: Load) -> Result<String, std::io::Error> {
///         tokio::fs::read_to_string(load.path).await
///     }
/// }
///
/// impl Handles<Note> for Desk {
///     fn attach(note: Attaching<'_, Self, Note>) -> Result<(), RegisterError> {
///         note.method_with_context(Self::note)
///     }
/// }
///
/// impl Handles<Load> for Desk {
///     fn attach(load: Attaching<'_, Self, Load>) -> Result<(), RegisterError> {
///         load.async_method(|desk, load| async move { desk.load(load).await })
///     }
/// }
///
/// let server = Server::new("/tmp/myApp.sock");
/// server.attach_topics::<(Note, Load)>(Desk)?;
/// # Ok::<(), RegisterError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler for `{T}` on `{E}`",
    label = "no handler for `{T}`",
    note = "add a method to the `#[handlers]` block of `{Self}`: `fn …(&self, message: {T})`",
    note = "a block that has the method names the protocol: `#[handlers(server = …)]`, `#[handlers(client = …)]`"
)]
pub trait Handles<T, E: Endpoint = Server>: Sized + Send + Sync + 'static {
    /// Attaches the method.
    ///
    /// # Errors
    ///
    /// [`RegisterError::AlreadyRegistered`]: the topic is a request, and has a responder.
    fn attach(attaching: Attaching<'_, Self, T, E>) -> Result<(), RegisterError>;
}
