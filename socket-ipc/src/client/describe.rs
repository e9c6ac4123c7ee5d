//! Requesting a server what it speaks.

use super::handle::ClientHandle;
use crate::connection::{ReplyFuture, read_raw};
use crate::description::{DESCRIBE, Description};
use crate::endpoint::send;
use crate::error::RequestError;
use crate::topic::TopicName;
use crate::wire::Wire;

/// # Requesting what the server speaks
impl<P> ClientHandle<P> {
    /// Asks the server to describe itself, and returns the future of its reply. [`description`](crate::description) has
    /// more.
    ///
    /// # Errors
    ///
    /// The reply's: [`RequestError`](crate::RequestError), which is
    /// [`NoResponder`](crate::RequestError::NoResponder) where the server was built without
    /// [`describe`](crate::ServerBuilder::describe).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: socket_ipc::Client) -> Result<(), socket_ipc::RequestError> {
    /// for topic in client.describe_server().await?.topics {
    ///     println!("{} {:?}", topic.topic, topic.direction);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn describe_server(&self) -> ReplyFuture<Description> {
        send::request(&*self.state, TopicName::OfType(DESCRIBE), &(), (), read_description)
    }
}

/// Not as a typed reply is read: a description is no topic, so that the compiler does not suggest it where one is
/// missing.
fn read_description(wire: Wire, asked: &str, envelope: &[u8]) -> Result<Description, RequestError> {
    read_raw(wire, asked, envelope)?.decode().map_err(|error| RequestError::ReplyUndecodable {
        topic: asked.to_owned(),
        type_name: std::any::type_name::<Description>(),
        reason: error.to_string(),
    })
}
