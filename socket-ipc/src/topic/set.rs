//! Several topics as one type.

use serde::de::DeserializeOwned;

use super::Topic;
use super::direction::{ToClient, ToServer};

/// A topic, or an enum with a variant for each of several topics: what `subscribe` and `events` take.
///
/// Every topic whose messages are owned is a set of one. [`#[derive(TopicSet)]`](macro@crate::TopicSet) makes an enum
/// one of several. The messages of a set come in the order in which they were sent, whatever their topics: two
/// subscriptions would lose that order.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Topic, TopicSet};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News { text: String }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "job event"]
/// struct JobEvent { job: u64 }
///
/// #[derive(TopicSet)]
/// enum FromServer {
///     News(News),
///     JobEvent(JobEvent),
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = socket_ipc::Client::new("/tmp/myApp.sock");
/// let mut messages = client.subscribe::<FromServer>();
/// client.connect().await?;
/// while let Some(message) = messages.next().await {
///     match message {
///         FromServer::News(news) => println!("{}", news.text),
///         FromServer::JobEvent(event) => println!("job {}", event.job),
///     }
/// }
/// # Ok(()) }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a topic nor a set of topics that can be decoded",
    label = "can't be subscribed to",
    note = "a topic has `#[derive(Topic, Deserialize)]`, owned fields, and `#[topic = \"…\"]`",
    note = "a set is an enum with a variant for each topic, and `#[derive(TopicSet)]`"
)]
pub trait TopicSet: Sized + Send + 'static {
    /// Its topics as a list: `(News, (JobEvent, ()))`.
    #[doc(hidden)]
    type Topics;

    /// Tells `members` each topic, and how its message becomes one of the set.
    #[doc(hidden)]
    fn members(members: &mut impl Members<Self>);
}

/// Gets the topics of a set.
#[doc(hidden)]
pub trait Members<S> {
    fn member<T>(&mut self, into_set: impl Fn(T) -> S + Send + Sync + 'static)
    where
        T: Topic + DeserializeOwned + 'static;
}

impl<T: Topic + DeserializeOwned + Send + 'static> TopicSet for T {
    type Topics = (T, ());

    fn members(members: &mut impl Members<Self>) {
        members.member::<T>(|message| message);
    }
}

/// A [`TopicSet`] whose topics all travel from clients to the server in the protocol `P`, as [`ToServer`] says of each.
///
/// ```
/// use socket_ipc::{ClientId, ServerHandle, SetToServer, Subscription, TopicSet};
///
/// fn all<P, S: TopicSet + SetToServer<P>>(server: &ServerHandle<P>) -> Subscription<(S, ClientId)> {
///     server.subscribe::<S>()
/// }
/// ```
pub trait SetToServer<P> {}

/// A [`TopicSet`] whose topics all travel from the server to clients in the protocol `P`, as [`ToClient`] says of each.
///
/// ```
/// use socket_ipc::{ClientHandle, SetToClient, Subscription, TopicSet};
///
/// fn all<P, S: TopicSet + SetToClient<P>>(client: &ClientHandle<P>) -> Subscription<S> {
///     client.subscribe::<S>()
/// }
/// ```
pub trait SetToClient<P> {}

// One impl for every set, so that the compiler follows it to the topic that does not travel, and reports that one.
impl<P, S: TopicSet<Topics: AllToServer<P>>> SetToServer<P> for S {}
impl<P, S: TopicSet<Topics: AllToClient<P>>> SetToClient<P> for S {}

/// A list of topics that all travel to the server. Not implemented for the protocol: the compiler would report the list
/// and not the topic.
#[doc(hidden)]
pub trait AllToServer<P> {}

/// The same for topics that travel to clients.
#[doc(hidden)]
pub trait AllToClient<P> {}

impl<P> AllToServer<P> for () {}
impl<P> AllToClient<P> for () {}
impl<P: ToServer<T>, T, Rest: AllToServer<P>> AllToServer<P> for (T, Rest) {}
impl<P: ToClient<T>, T, Rest: AllToClient<P>> AllToClient<P> for (T, Rest) {}

/// The topic of a set that has only one.
#[cfg(feature = "blocking")]
pub(crate) fn only_topic<S: TopicSet>() -> Option<&'static str> {
    struct Names(Vec<&'static str>);

    impl<S> Members<S> for Names {
        fn member<T: Topic>(&mut self, _: impl Fn(T) -> S) {
            self.0.push(T::NAME);
        }
    }

    let mut names = Names(Vec::new());
    S::members(&mut names);
    match names.0[..] {
        [only] => Some(only),
        _ => None,
    }
}
