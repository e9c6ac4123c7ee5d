//! How many NATS messages broadcasts leave in.

use async_nats::Subscriber;
use futures::StreamExt as _;
use support::nats::Nats;
use support::soon;

use crate::nodes::{Node, news};

const NEWS: &str = "news%20of%2Fthe%20day.%2A";

/// Reads messages until they have so many lines. Returns the length and the lines of each.
async fn messages(broadcasts: &mut Subscriber, lines: usize) -> Vec<(usize, usize)> {
    let mut messages: Vec<(usize, usize)> = Vec::new();
    soon("all lines", async {
        while messages.iter().map(|(_, lines)| lines).sum::<usize>() < lines {
            let payload = broadcasts.next().await.unwrap().payload;
            messages.push((payload.len(), payload.iter().filter(|byte| **byte == b'\n').count()));
        }
    })
    .await;
    messages
}

support::both_flavours! {
    async fn burst_leaves_in_few_messages_and_a_single_broadcast_at_once() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut broadcasts = plain.subscribe(format!("desk.b.{}.{NEWS}", one.cluster.node())).await.unwrap();
        // The engine has acted on the subscription.
        assert!(plain.request("desk.q.nobody", "".into()).await.is_err());
        for number in 0..3 {
            one.cluster.broadcast(&news(number)).unwrap();
            assert_eq!(messages(&mut broadcasts, 1).await.len(), 1, "nothing else is waited for");
        }
        const COUNT: usize = 5000;
        for number in 0..COUNT {
            one.cluster.broadcast(&news(number as u64)).unwrap();
        }
        let messages = messages(&mut broadcasts, COUNT).await;
        assert!(messages.len() < COUNT / 5, "{} messages", messages.len());
        assert!(messages.iter().all(|(len, _)| *len <= 64 * 1024), "{messages:?}");
        assert_eq!(messages.iter().map(|(_, lines)| lines).sum::<usize>(), COUNT);
    }
}
