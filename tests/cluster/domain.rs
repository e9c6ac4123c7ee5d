//! A domain whose accounts have permissions, for the tests of forged messages.

use async_nats::{Client, ConnectOptions};
use socket_ipc::cluster::ClusterOptions;
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{News, Node, news};

/// Nodes may do what nodes do. `one` and `other` are nodes, `outsider` may speak for another name
/// and send requests, `stranger` not even that, and `root` may do anything.
const CONFIG: &str = r#"
    authorization { users = [
        { user: one, password: secret, permissions: {
            publish: ["desk.b.one.>", "desk.g.one.>", "desk.q.>", "desk.n.>", "desk.i.>"], subscribe: "desk.>" } }
        { user: other, password: secret, permissions: {
            publish: ["desk.b.other.>", "desk.g.other.>", "desk.q.>", "desk.n.>", "desk.i.>"], subscribe: "desk.>" } }
        { user: outsider, password: secret, permissions: {
            publish: ["desk.b.outsider.>", "desk.g.outsider.>", "desk.q.>", "nobody"], subscribe: ["desk.>", "_INBOX.>"] } }
        { user: stranger, password: secret, permissions: {
            publish: ["desk.b.stranger.>", "desk.g.stranger.>", "nobody"], subscribe: ["desk.>", "_INBOX.>"] } }
        { user: root, password: secret }
    ] }"#;

pub const NEWS: &str = "news%20of%2Fthe%20day.%2A";

pub struct Domain {
    pub nats: Nats,
    pub one: Node,
    pub other: Node,
    pub outsider: Client,
    pub stranger: Client,
    pub root: Client,
    /// What the client of `one` receives.
    pub received: Events<u64>,
    _client: socket_ipc::Client,
}

impl Domain {
    pub async fn new() -> Option<Self> {
        let nats = Nats::with(CONFIG)?;
        let options =
            |name: &str| ClusterOptions::new(nats.url(), "desk").name(name).user_and_password(name, "secret");
        let (one, other) = (Node::with(options("one")).await, Node::with(options("other")).await);
        one.knows(&other, &[]).await;
        let plain = async |name: &str| {
            let options = ConnectOptions::with_user_and_password(name.to_owned(), "secret".to_owned());
            options.connect(nats.url()).await.unwrap()
        };
        let (outsider, stranger) = (plain("outsider").await, plain("stranger").await);
        let root = plain("root").await;
        let (client, received) = (one.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        Some(Self { nats, one, other, outsider, stranger, root, received, _client: client })
    }

    /// The engine has acted on everything that an account sent.
    pub async fn is_done(&self, account: &Client) {
        // Nobody subscribes to it.
        let done = account.request("nobody", "".into());
        let done = async { assert!(done.await.is_err()) };
        soon("the engine's reply", done).await;
    }

    /// A broadcast of the other node arrives, and nothing before it.
    pub async fn nothing_was_received(&mut self) {
        self.other.cluster.broadcast(&news(777)).unwrap();
        assert_eq!(self.received.next().await, 777);
    }
}

pub fn line(number: u64) -> String {
    format!(r#"{{"topic":"news of/the day.*","message":{{"number":{number},"text":""}}}}"#)
}
