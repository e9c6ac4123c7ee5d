//! Requests and messages from beyond this machine, as the server that has them sees them.

use futures::StreamExt as _;
use socket_ipc::ServerEvent;
use socket_ipc::cluster::{ClusterEvent, ClusterOptions, NodeId};
use support::nats::Nats;
use support::soon;

use crate::nodes::{News, Node};

const DIVIDE: &str = r#"{"dividend":6,"divisor":2}"#;

support::both_flavours! {
    async fn nodes_that_come_and_go_leave_no_task_behind() {
        let Some(nats) = Nats::start() else { return };
        let (mut one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        one.responds_to_divide();
        other.knows(&one, &["divide"]).await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let mut before = 0;
        for round in 0..100 {
            let node: NodeId = format!("plain.{round:016x}").parse().unwrap();
            let mut replies = plain.subscribe(format!("desk.i.{node}.>")).await.unwrap();
            let beat = format!("desk.b.{node}");
            plain.publish(beat.clone(), r#"{"sequence":0,"clients":0}"#.into()).await.unwrap();
            one.event(|event| *event == ClusterEvent::NodeUp(node.clone())).await;
            let inbox = format!("desk.i.{node}.0.1");
            plain.publish_with_reply("desk.q.divide", inbox, DIVIDE.into()).await.unwrap();
            let reply = async {
                loop {
                    let message = replies.next().await.unwrap();
                    // On a busy machine, signs of life come before it.
                    if message.headers.as_ref().is_none_or(|headers| headers.get("Socket-Ipc-Working").is_none()) {
                        return message;
                    }
                }
            };
            assert_eq!(&soon("the reply", reply).await.payload[..], b"3");
            let goodbye = r#"{"sequence":0,"clients":0,"goodbye":true}"#;
            plain.publish(beat, goodbye.into()).await.unwrap();
            one.event(|event| *event == ClusterEvent::NodeDown(node.clone())).await;
            if round == 0 {
                before = tasks();
            }
        }
        soon("the end of the tasks", async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn message_reaches_the_events_of_the_server() {
        let Some(nats) = Nats::start() else { return };
        let (one, other) = (Node::join(&nats, "one").await, Node::join(&nats, "other").await);
        let mut events = one.server.events::<News>();
        one.cluster.offer::<News>().unwrap();
        other.knows(&one, &["news of/the day.*"]).await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let message = r#"{"number":9,"text":"from outside"}"#;
        plain.publish("desk.q.news%20of%2Fthe%20day.%2A", message.into()).await.unwrap();
        let event = soon("the message", events.next()).await;
        assert!(matches!(event, Some(ServerEvent::Message(News { number: 9, .. }, id)) if id.get() > 1 << 50), "{event:?}");
    }

    async fn request_of_a_plain_program_is_given_up_after_the_timeout_of_the_server() {
        let Some(nats) = Nats::start() else { return };
        let options = ClusterOptions::new(nats.url(), "desk").name("one").accept_foreign_inboxes();
        let timeout = std::time::Duration::from_millis(300);
        let one = Node::built(options, |server| server.request_timeout(timeout)).await;
        let other = Node::join(&nats, "other").await;
        let mut waits = one.waits();
        other.knows(&one, &["wait"]).await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut replies = plain.subscribe("_INBOX.plain").await.unwrap();
        plain.publish_with_reply("desk.q.wait", "_INBOX.plain", "null".into()).await.unwrap();
        assert_eq!(waits.next().await, "began");
        assert_eq!(waits.next().await, "dropped");
        // Behind the signs that it is being worked on.
        let is_error = |reply: &async_nats::Message| {
            reply.headers.as_ref().is_some_and(|headers| headers.get("Socket-Ipc-Error").is_some())
        };
        let reply = soon("the error", async {
            loop {
                let reply = replies.next().await.unwrap();
                if is_error(&reply) {
                    return reply;
                }
            }
        })
        .await;
        assert!(std::str::from_utf8(&reply.payload).unwrap().contains("no reply within 300ms"), "{reply:?}");
    }
}
