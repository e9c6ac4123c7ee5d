//! Streams whose node, requester or NATS server is killed or stopped.

use super::*;

support::whole_processes! {
    node_killed_or_stopped_loses_its_streams_in_time,
    requesting_node_killed_drops_the_streams_of_its_clients,
    nats_killed_and_restarted_under_streams_leaves_no_gap_untold,
}

fn node_killed_or_stopped_loses_its_streams_in_time(flavour: &str) {
    let Some(nats) = Nats::start() else { return };
    for signal in [Signal::KILL, Signal::STOP] {
        let mut responder = Process::start(&nats, flavour, "responder");
        responder.peer.tell("stream");
        run(async {
            let one = Node::join(&nats, "one").await;
            one.cluster.forward::<Numbers>().unwrap();
            one.knows_offer_of_topic(&responder.node, "numbers").await;
            let client = one.client().await;
            let mut numbers = client.request_stream(&Numbers { every: 10 });
            for number in 0..5 {
                assert_eq!(soon("a number", numbers.next()).await.unwrap().unwrap(), number);
            }
            responder.peer.signal(signal);
            let ended = Instant::now();
            let error = soon("the error", async {
                loop {
                    if let Err(error) = numbers.next().await.unwrap() {
                        return error;
                    }
                }
            })
            .await;
            assert!(is_code(&error, "lost"), "{error}");
            assert!(ended.elapsed() < Duration::from_millis(3500), "{:?}", ended.elapsed());
            if signal == Signal::STOP {
                responder.peer.signal(Signal::CONT);
                assert_eq!(responder.peer.line_with("dropped"), "dropped");
            }
        });
    }
}

fn requesting_node_killed_drops_the_streams_of_its_clients(flavour: &str) {
    requesting_node_killed(flavour, "stream", "forward streams", |client| async move {
        // Until the offer has arrived, nobody responds.
        loop {
            let mut numbers = client.request_stream(&Numbers { every: 10 });
            while let Some(Ok(_)) = numbers.next().await {}
        }
    });
}

fn nats_killed_and_restarted_under_streams_leaves_no_gap_untold(flavour: &str) {
    let Some(mut nats) = Nats::start() else { return };
    let mut responder = Process::start(&nats, flavour, "responder");
    responder.peer.tell("stream");
    run(async {
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<Numbers>().unwrap();
        one.knows_offer_of_topic(&responder.node, "numbers").await;
        let client = one.client().await;
        for _ in 0..3 {
            let mut streams: Vec<_> = (0..8).map(|_| client.request_stream(&Numbers { every: 0 })).collect();
            for numbers in &mut streams {
                assert_eq!(soon("a number", numbers.next()).await.unwrap().unwrap(), 0);
            }
            let reading: Vec<_> = streams
                .into_iter()
                .map(|mut numbers| {
                    tokio::spawn(async move {
                        let mut expected = 1;
                        loop {
                            match numbers.next().await.unwrap() {
                                Ok(number) => assert_eq!(number, expected),
                                Err(error) => return error,
                            }
                            expected += 1;
                        }
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_millis(200)).await;
            nats.kill();
            nats.restart();
            for reading in reading {
                let error = soon("the error", reading).await.unwrap();
                assert!(is_code(&error, "link_down") || is_code(&error, "lost"), "{error}");
            }
            // Nothing of them is left: `began` and `dropped` come in pairs.
            for _ in 0..8 {
                assert_eq!(responder.peer.line_with("dropped"), "dropped");
            }
            soon("a stream again", async {
                loop {
                    let mut numbers = client.request_stream(&Numbers { every: 10 });
                    if let Some(Ok(0)) = numbers.next().await {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
            assert_eq!(responder.peer.line_with("dropped"), "dropped");
        }
    });
}
