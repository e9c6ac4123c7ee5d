//! Requesting the description of a server.

use super::handle::ClientHandle;
use crate::connection::{ReplyFuture, read_raw};
use crate::description::{DESCRIBE, Description};
use crate::endpoint::send;
use crate::error::{RequestError, type_name};
use crate::topic::TopicName;
use crate::wire::Wire;

/// # Requesting a description
impl<P> ClientHandle<P> {
    /// Requests the description of the server, and returns the future of the reply. [`description`](crate::description)
    /// has more.
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
        send::request(&*self.state, TopicName::OfType(DESCRIBE), &(), (), read_description, true)
    }
}

/// Reads a description, which is no typed reply: it is no topic, so that the compiler does not suggest it where a topic
/// is missing.
fn read_description(wire: Wire, topic: &str, envelope: &[u8]) -> Result<Description, RequestError> {
    let text = read_raw(wire, topic, envelope)?;
    text.decode().map_err(|error| RequestError::ReplyUndecodable {
        topic: topic.to_owned(),
        type_name: type_name::<Description>(),
        reason: error.to_string(),
    })
}
