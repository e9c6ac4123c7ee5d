//! Groups whose nodes are killed or stopped.

use futures::FutureExt as _;

use super::*;

support::whole_processes! {
    node_killed_while_it_speaks_to_a_group_and_started_again_is_counted_anew,
    node_of_members_stopped_is_told_how_much_of_the_group_it_missed,
}

/// Makes a client of a node in this process a member.
async fn member(node: &Node) -> (Client, Events<u64>) {
    let received = Events::new();
    let (report, client) = (received.reporter(), Client::new(node.place.socket()));
    client.on::<Count>(move |count| report(count.number));
    soon("a connection", client.connect()).await.unwrap();
    let id = soon("the client", async {
        loop {
            match node.server.clients()[..] {
                [id] => return id,
                _ => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert!(node.server.group("room").join(id).unwrap());
    assert!(soon("the subscription", node.cluster.group("room").subscribed()).await);
    (client, received)
}

fn node_killed_while_it_speaks_to_a_group_and_started_again_is_counted_anew(flavour: &str) {
    const COUNT: u64 = 5_000;
    let Some(nats) = Nats::start() else { return };
    run(async {
        let mut one = Node::join(&nats, "one").await;
        let (_client, mut received) = member(&one).await;
        let mut speaker = Process::start(&nats, flavour, "speaker");
        one.event(ClusterEvent::NodeUp(speaker.node.clone())).await;
        speaker.peer.tell("speak 50000 100");
        let mut first = received.take(1_000).await;
        speaker.peer.kill();
        one.event(ClusterEvent::NodeDown(speaker.node.clone())).await;
        first.append(&mut received.rest());
        assert!(first.is_sorted_by(|one, next| one < next), "in order, and none twice");
        let mut again = Process::start(&nats, flavour, "speaker");
        again.peer.tell(&format!("speak {COUNT} 100"));
        assert_eq!(numbers(&again.peer.line_with("spoken "))[0], COUNT);
        let (mut arrived, mut lagged) = (Vec::new(), 0);
        soon("all of them", async {
            while arrived.len() as u64 + lagged < COUNT {
                arrived.append(&mut received.rest());
                match support::in_time(Duration::from_millis(10), one.events.next()).await.flatten() {
                    Some(ClusterEvent::GroupLagged { node, count, .. }) if node == again.node => {
                        lagged += count
                    }
                    Some(ClusterEvent::GroupLagged { node, .. }) => panic!("{node} says nothing any more"),
                    _ => {}
                }
            }
        })
        .await;
        // All counts follow the next beat, and behind another nothing more has come, nor was told as lost.
        for beat in 1..=2 {
            again.peer.tell("flood 1 100");
            assert_eq!(numbers(&again.peer.line_with("flooded ")), [1]);
            soon("a beat", async {
                while one.cluster.nodes().iter().all(|node| node.id != again.node || node.broadcasts < beat) {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert_eq!(received.take(1).await, [beat], "the broadcast alone");
        }
        while let Some(event) = one.events.next().now_or_never().flatten() {
            assert!(!matches!(event, ClusterEvent::GroupLagged { .. }), "{event:?}");
        }
        assert_eq!(arrived.len() as u64 + lagged, COUNT);
        assert!(arrived.is_sorted_by(|one, next| one < next), "in order, and none twice");
    });
}

fn node_of_members_stopped_is_told_how_much_of_the_group_it_missed(flavour: &str) {
    const COUNT: u64 = 100_000;
    // So that NATS cuts it off while it stands still.
    let Some(nats) = Nats::with("max_payload: 262144\nmax_pending: 262144") else { return };
    let mut other = Process::start(&nats, flavour, "other");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        other.peer.line_with("up ");
        let (_client, mut received) = other.client().await;
        other.peer.tell("member");
        other.peer.line_with("subscribed");
        // Beats that came behind the subscription: what is said from now on is counted from the first message on.
        for sent in 1..=2 {
            one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
            other.peer.tell(&format!("await {sent}"));
            other.peer.line_with("seen");
        }
        assert_eq!(received.take(2).await, [0, 0]);
        let room = one.cluster.group("room");
        other.peer.signal(Signal::STOP);
        for number in 1..=COUNT {
            let count = Count { number, text: "x".repeat(200) };
            room.broadcast_async(&count).await.unwrap();
            if number == COUNT / 2 {
                nats.line_with("Slow Consumer Detected");
                other.peer.signal(Signal::CONT);
            }
        }
        let (mut arrived, mut lagged) = (Vec::new(), 0);
        within("all of them", Duration::from_secs(60), async {
            while arrived.len() as u64 + lagged < COUNT {
                arrived.append(&mut received.rest());
                while let Some(line) = other.peer.line_now() {
                    if let Some(count) = line.strip_prefix("group lagged ") {
                        lagged += count.parse::<u64>().unwrap();
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        // All counts follow the next beat, and behind another nothing more has come, nor was told as lost.
        for sent in 3..=4 {
            one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
            other.peer.tell(&format!("await {sent}"));
            let mut lines = std::iter::repeat_with(|| other.peer.line()).take_while(|line| line != "seen");
            assert!(lines.all(|line| !line.starts_with("group lagged ")));
            assert_eq!(received.take(1).await, [0], "the broadcast alone");
        }
        assert_eq!(arrived.len() as u64 + lagged, COUNT, "{lagged} were told as lost");
        assert!(arrived.is_sorted_by(|one, next| one < next), "in order, and none twice");
        assert!(lagged > 0 && !arrived.is_empty(), "{lagged} of {COUNT}");
    });
}
