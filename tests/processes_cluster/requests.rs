//! Requests whose node, or whose requester, is killed.

use super::*;

support::whole_processes! {
    node_killed_fails_what_it_had_and_the_next_takes_over,
    requesting_node_killed_drops_the_responder,
}

fn node_killed_fails_what_it_had_and_the_next_takes_over(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    let mut first = Process::start(&nats, flavour, "first");
    first.peer.tell("respond");
    run(async {
        let mut one = Node::join(&nats, "one").await;
        one.cluster.forward::<Wait>().unwrap();
        one.knows_offer_of(&first.node).await;
        let client = one.client().await;
        let request = client.request(&Wait);
        assert_eq!(first.peer.line_with("began"), "began");
        let killed = Instant::now();
        first.peer.kill();
        // Nobody has the topic now: a new request fails at once.
        let error = soon("the error", client.request(&Wait)).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error}");
        assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
        let error = soon("the error", request).await.unwrap_err();
        assert!(is_code(&error, "lost"), "{error}");
        assert!(killed.elapsed() < Duration::from_millis(3500), "{:?}", killed.elapsed());
        one.event(ClusterEvent::NodeDown(first.node.clone())).await;
        assert!(killed.elapsed() < Duration::from_millis(3700), "{:?}", killed.elapsed());
        let mut second = Process::start(&nats, flavour, "first");
        second.peer.tell("respond");
        one.knows_offer_of(&second.node).await;
        let _request = client.request(&Wait);
        assert_eq!(second.peer.line_with("began"), "began");
    });
}

fn requesting_node_killed_drops_the_responder(flavour: &str) {
    requesting_node_killed(flavour, "respond", "forward", |client| async move {
        // Until the offer has arrived, nobody responds.
        while client.request(&Wait).await.is_err() {}
    });
}
