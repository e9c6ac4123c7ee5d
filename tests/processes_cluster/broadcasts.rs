//! Broadcasts past nodes and NATS servers that are killed, stopped or too slow: what does not arrive is counted.

use super::*;

support::whole_processes! {
    node_stopped_makes_nobody_wait_and_is_told_how_much_it_missed,
    slow_node_is_cut_off_by_nats_and_is_told_how_much_it_missed,
    nats_killed_and_restarted_under_a_flood_is_counted_exactly,
    nats_stopped_and_continued_loses_nothing_uncounted,
}

/// Waits until a node in a process has received or counted this many broadcasts. Returns the numbers and the count.
async fn received_or_counted(
    process: &Process,
    received: &mut Events<u64>,
    lagged: &mut u64,
    sent: u64,
) -> Vec<u64> {
    let mut all = Vec::new();
    within("all of them", Duration::from_secs(60), async {
        loop {
            all.append(&mut received.rest());
            process.lagged(lagged);
            if all.len() as u64 + *lagged >= sent {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    all
}

fn assert_exact(received: &[u64], lagged: u64, sent: u64) {
    assert_eq!(received.len() as u64 + lagged, sent, "{lagged} were counted as missing");
    assert!(received.is_sorted_by(|one, next| one < next), "in order, and none twice");
}

fn node_stopped_makes_nobody_wait_and_is_told_how_much_it_missed(flavour: &str) {
    const COUNT: u64 = 400_000;
    // So that NATS gives it up while it stands still.
    let Some(nats) = Nats::with("write_deadline: \"2s\"\nmax_pending: 8388608") else { return };
    let other = Process::start(&nats, flavour, "other");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        let (_client, mut received) = other.client().await;
        assert!(other.peer.line_with("up ").contains(&one.cluster.node().to_string()));
        one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
        assert_eq!(received.next().await, 0);
        other.peer.signal(Signal::STOP);
        let stopped = Instant::now();
        for number in 1..=COUNT {
            let count = Count { number, text: "x".repeat(200) };
            one.cluster.broadcast_async(&count).await.unwrap();
        }
        assert!(stopped.elapsed() < Duration::from_secs(30), "{:?}", stopped.elapsed());
        one.event(ClusterEvent::NodeDown(other.node.clone())).await;
        other.peer.signal(Signal::CONT);
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        let mut lagged = 0;
        let all = received_or_counted(&other, &mut received, &mut lagged, COUNT).await;
        assert_exact(&all, lagged, COUNT);
        assert!(lagged > 0, "more was broadcast than anything on the way holds");
    });
}

fn slow_node_is_cut_off_by_nats_and_is_told_how_much_it_missed(flavour: &str) {
    const COUNT: u64 = 100_000;
    let Some(nats) = Nats::with("max_payload: 262144\nmax_pending: 262144") else { return };
    let other = Process::start(&nats, flavour, "other");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.event(ClusterEvent::NodeUp(other.node.clone())).await;
        let (_client, mut received) = other.client().await;
        other.peer.line_with("up ");
        one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
        assert_eq!(received.next().await, 0);
        other.peer.signal(Signal::STOP);
        for number in 1..=COUNT {
            let count = Count { number, text: "x".repeat(200) };
            one.cluster.broadcast_async(&count).await.unwrap();
            if number == COUNT / 2 {
                nats.line_with("Slow Consumer Detected");
                other.peer.signal(Signal::CONT);
            }
        }
        let mut lagged = 0;
        let all = received_or_counted(&other, &mut received, &mut lagged, COUNT).await;
        assert_exact(&all, lagged, COUNT);
        assert!(lagged > 0 && !all.is_empty(), "{lagged} of {COUNT}");
    });
}

fn nats_killed_and_restarted_under_a_flood_is_counted_exactly(flavour: &str) {
    let Some(mut nats) = Nats::start() else { return };
    let (mut one, other) = (Process::start(&nats, flavour, "one"), Process::start(&nats, flavour, "other"));
    one.peer.line_with("up ");
    other.peer.line_with("up ");
    run(async {
        let (_client, mut received) = other.client().await;
        one.peer.tell("flood 1 10");
        let mut sent = numbers(&one.peer.line_with("flooded "))[0];
        assert_eq!(received.next().await, 1);
        one.peer.tell("flood 50000 100");
        let first = received.take(10_000).await;
        let restarted = Instant::now();
        nats.kill();
        nats.restart();
        // It prints no event before the flood is over.
        sent += numbers(&one.peer.line_with("flooded "))[0];
        one.peer.line_with("LinkUp");
        assert!(restarted.elapsed() < Duration::from_secs(10), "{:?}", restarted.elapsed());
        other.peer.line_with("LinkUp");
        one.peer.tell("flood 1000 100");
        sent += numbers(&one.peer.line_with("flooded "))[0];
        let mut lagged = 0;
        let rest =
            received_or_counted(&other, &mut received, &mut lagged, sent - 1 - first.len() as u64).await;
        assert_exact(&[first, rest].concat(), lagged, sent - 1);
    });
}

fn nats_stopped_and_continued_loses_nothing_uncounted(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    let (mut responder, other) =
        (Process::start(&nats, flavour, "responder"), Process::start(&nats, flavour, "other"));
    responder.peer.tell("respond");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.cluster.forward::<Wait>().unwrap();
        one.knows_offer_of(&responder.node).await;
        let (_far, mut received) = other.client().await;
        other.peer.line_with("up one.");
        one.cluster.broadcast(&Count { number: 0, text: String::new() }).unwrap();
        assert_eq!(received.next().await, 0);
        let client = one.client().await;
        let request = client.request(&Wait);
        assert_eq!(responder.peer.line_with("began"), "began");
        nats.signal(Signal::STOP);
        let stopped = Instant::now();
        let mut sent = 0;
        for number in 1..=20_000 {
            let count = Count { number, text: "x".repeat(200) };
            sent += u64::from(one.cluster.broadcast(&count).is_ok());
        }
        assert!(stopped.elapsed() < Duration::from_secs(5), "nobody waits: {:?}", stopped.elapsed());
        let error = soon("the error", request).await.unwrap_err();
        assert!(is_code(&error, "lost"), "{error}");
        assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
        one.event(ClusterEvent::NodeDown(responder.node.clone())).await;
        nats.signal(Signal::CONT);
        one.event(ClusterEvent::NodeUp(responder.node.clone())).await;
        assert_eq!(responder.peer.line_with("dropped"), "dropped");
        let mut lagged = 0;
        let all = received_or_counted(&other, &mut received, &mut lagged, sent).await;
        assert_exact(&all, lagged, sent);
        let error: RequestError =
            client.request(&Wait).timeout(Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, RequestError::Timeout { .. }), "{error}");
    });
}
