//! Requests of streams of one client, wherever it is connected.

use serde::Serialize;

use super::Cluster;
use super::direct::own_error;
use super::line::Line;
use super::node::ClientRef;
use super::stream::{ClusterStream, Read};
use crate::client_id::ClientId;
use crate::connection::typed_error;
use crate::error::{RequestError, type_name};
use crate::topic::direction::ToClient;
use crate::topic::{Received, StreamRequest};

/// # Streams of one client
impl<P> Cluster<P> {
    /// Requests a stream of a client of any node, which replies by
    /// [`ClientHandle::respond_stream`](crate::ClientHandle::respond_stream). It is sent when the stream is first polled;
    /// the stream returns every error.
    ///
    /// The client is paced by the [window](ClusterStream::window) of the stream. Dropping the stream drops the
    /// responder's.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use serde::{Deserialize, Serialize};
    /// use socket_ipc::Topic;
    /// use socket_ipc::cluster::{ClientRef, Cluster, ClusterError};
    ///
    /// #[derive(Topic, Serialize, Deserialize)]
    /// #[topic(name = "log", stream = String)]
    /// struct Log { last: usize }
    ///
    /// async fn print_log(cluster: &Cluster, client: &ClientRef) -> Result<(), ClusterError> {
    ///     let mut lines = cluster.request_stream(&Log { last: 100 }, client);
    ///     while let Some(line) = lines.next().await {
    ///         println!("{}", line?);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn request_stream<T>(&self, request: &T, to: &ClientRef) -> ClusterStream<T::Item, T::Error>
    where
        P: ToClient<T>,
        T: StreamRequest<Item: Received + 'static, Error: Received + 'static> + Serialize,
    {
        let read = read::<T>(to);
        if to.node == self.shared.node {
            let stream = self.server.request_stream(request, ClientId::new(to.client));
            return ClusterStream::own(stream, read);
        }
        let line = match Line::of(&self.shared.server, T::NAME, request) {
            Ok(line) => line,
            Err(error) => return ClusterStream::failed(error.into(), read),
        };
        let subject = self.shared.subjects.client(&to.node, to.client, T::NAME);
        ClusterStream::remote(&self.shared, subject, line.message().to_vec(), read)
    }
}

fn read<T>(to: &ClientRef) -> Read<T::Item, T::Error>
where
    T: StreamRequest<Item: Received + 'static, Error: Received + 'static>,
{
    let (of, own) = (to.clone(), to.clone());
    Read {
        item: |text| {
            serde_json::from_slice(text).map_err(|error| RequestError::ReplyUndecodable {
                topic: T::NAME.to_owned(),
                type_name: type_name::<T::Item>(),
                reason: error.to_string(),
            })
        },
        end: Box::new(move |sent| {
            let typed = |topic: &str, reply| typed_error(topic, reply, T::HAS_TYPED_ERROR);
            sent.into_error(T::NAME, &of, typed)
        }),
        own: Box::new(move |error| own_error(error, &own)),
        topic: T::NAME,
    }
}
