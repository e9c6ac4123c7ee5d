//! The permissions of a node, exactly as the chapter gives them: with all of them everything works, and what one of them
//! is for fails by name without it.

use std::time::Duration;

use socket_ipc::RequestError;
use socket_ipc::cluster::{ClusterEvent, ClusterOptions, JoinError};
use support::nats::Nats;
use support::{Events, soon};

use crate::groups::member;
use crate::join::refused;
use crate::nodes::{Divide, News, Node, Who, news};

const CHAPTER: &str = include_str!("../../socket-ipc/src/guide/cluster.md");

/// The users in the chapter's configuration of a NATS server, for the node `host-a`.
fn users() -> &'static str {
    let (_, block) = CHAPTER.split_once("```text\nauthorization { users = [\n").unwrap();
    block.split_once("] }\n```").unwrap().0
}

/// What the chapter lets a node publish.
fn publish_list() -> Vec<&'static str> {
    let (_, list) = users().split_once("publish: [").unwrap();
    list.split_once(']').unwrap().0.split(", ").collect()
}

/// A NATS server for `host-a`, whose permissions are changed, and `host-b`, whose permissions are not.
fn nats(change: impl Fn(&str) -> String) -> Option<Nats> {
    let (one, other) = (change(users()), users().replace("host-a", "host-b"));
    Nats::with(&format!("authorization {{ users = [\n{one}\n{other}\n] }}"))
}

fn options(nats: &Nats, name: &str) -> ClusterOptions {
    // The domain and the password are those of the chapter.
    let options = ClusterOptions::new(nats.url(), "jobs").name(name).user_and_password(name, "…");
    options.silence(Duration::from_millis(1500))
}

/// Each node broadcasts, to all and to a group, sends, requests, offers and forwards to the other.
async fn do_everything(one: &Node, other: &Node) {
    for (from, to) in [(one, other), (other, one)] {
        to.responds_to_divide();
        from.knows(to, &["divide"]).await;
        let (client, mut received) = (to.client().await, Events::new());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        client.respond::<Who>(|Who| "a client".to_owned()).unwrap();
        from.cluster.broadcast(&news(1)).unwrap();
        assert_eq!(received.next().await, 1);
        let client_ref = to.cluster.client_ref(to.server.clients()[0]);
        soon("the acknowledgement", from.cluster.send(&news(2), &client_ref)).await.unwrap();
        assert_eq!(received.next().await, 2);
        assert_eq!(soon("the reply", from.cluster.request(&Who, &client_ref)).await.unwrap(), "a client");
        let (_member, _, mut received) = member(to, "room").await;
        from.cluster.group("room").broadcast(&news(3)).unwrap();
        assert_eq!(received.next().await, 3);
    }
}

support::both_flavours! {
    async fn permissions_of_the_chapter_are_enough_for_everything() {
        let Some(nats) = nats(str::to_owned) else { return };
        let (one, other) = (Node::with(options(&nats, "host-a")).await, Node::with(options(&nats, "host-b")).await);
        do_everything(&one, &other).await;
        // A node without a responder forwards.
        let third = Node::with(options(&nats, "host-a")).await;
        third.cluster.forward::<Divide>().unwrap();
        third.knows(&one, &["divide"]).await;
        let divide = Divide { dividend: 6, divisor: 3 };
        assert_eq!(soon("the reply", third.client().await.request(&divide)).await.unwrap(), 2);
    }

    async fn without_one_permission_of_the_chapter_what_it_is_for_fails_by_name() {
        for permission in publish_list() {
            let Some(nats) = nats(|users| {
                let fewer: Vec<_> = publish_list().into_iter().filter(|other| *other != permission).collect();
                users.replace(&publish_list().join(", "), &fewer.join(", "))
            }) else { return };
            match permission.trim_matches('"') {
                named @ ("jobs.b.host-a.>" | "jobs.n.>") => {
                    let error = refused(options(&nats, "host-a")).await;
                    let subject = named.trim_end_matches('>');
                    let said = error.to_string();
                    assert!(matches!(error, JoinError::Refused { .. }) && said.contains(subject), "{error}");
                }
                "jobs.q.>" => {
                    let (mut one, other) = (Node::with(options(&nats, "host-a")).await, Node::with(options(&nats, "host-b")).await);
                    other.responds_to_divide();
                    one.cluster.forward::<Divide>().unwrap();
                    let client = one.client().await;
                    let request = client.request(&Divide { dividend: 1, divisor: 1 });
                    let error = soon("the error", request).await.unwrap_err();
                    assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "lost"), "{error}");
                    one.event(is_refused("jobs.q.divide")).await;
                }
                "jobs.i.>" => {
                    let (mut one, other) = (Node::with(options(&nats, "host-a")).await, Node::with(options(&nats, "host-b")).await);
                    one.responds_to_divide();
                    other.cluster.forward::<Divide>().unwrap();
                    other.knows(&one, &["divide"]).await;
                    let client = other.client().await;
                    let request = client.request(&Divide { dividend: 1, divisor: 1 });
                    let error = soon("the error", request).await.unwrap_err();
                    assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "lost"), "{error}");
                    one.event(is_refused("jobs.i.host-b.")).await;
                }
                "jobs.g.host-a.>" => {
                    let mut one = Node::with(options(&nats, "host-a")).await;
                    one.cluster.group("room").broadcast(&news(1)).unwrap();
                    one.event(is_refused("jobs.g.host-a.")).await;
                }
                other => panic!("the chapter has a permission that this test does not know: {other}"),
            }
        }
    }

    async fn without_the_subscription_of_the_chapter_joining_fails_by_name() {
        let Some(nats) = nats(|users| {
            assert!(users.contains(r#"subscribe: "jobs.>""#));
            users.replace(r#"subscribe: "jobs.>""#, r#"subscribe: "other.>""#)
        }) else { return };
        let error = refused(options(&nats, "host-a")).await;
        assert!(matches!(&error, JoinError::Refused { .. }) && error.to_string().contains("\"jobs."), "{error}");
    }
}

fn is_refused(subject: &str) -> impl Fn(&ClusterEvent) -> bool {
    move |event| matches!(event, ClusterEvent::Error(error) if error.contains(subject))
}
