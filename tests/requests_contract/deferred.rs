//! Replies that are sent later, from anywhere.

use socket_ipc::{ErrorReply, ReplyError, ReplySender};

use super::*;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "job", reply = Done, error = JobError)]
struct Job(u64);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Done(String);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum JobError {
    Failed(u64),
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "news"]
struct News(u64);

type Given<Peer = ClientId> = Events<(u64, ReplySender<Job, Peer>)>;

/// A responder to `Job` that gives every sender to the test.
fn give_senders(server: &Server) -> Given {
    let given = Events::new();
    let report = given.reporter();
    server.respond_with::<Job>(move |Job(number), reply| report((number, reply))).unwrap();
    given
}

fn give_senders_of_client(client: &Client) -> Given<()> {
    let given = Events::new();
    let report = given.reporter();
    client.respond_with::<Job>(move |Job(number), reply| report((number, reply))).unwrap();
    given
}

fn done(len: usize) -> Done {
    Done("x".repeat(len))
}

support::both_flavours! {
    async fn reply_from_another_thread_arrives() {
        let (_place, server, client) = connected().await;
        let id = server.clients()[0];
        server.respond_with::<Job>(move |Job(number), reply| {
            assert_eq!(reply.client_id(), id);
            std::thread::spawn(move || {
                reply.send(if number > 0 { Ok(done(3)) } else { Err(JobError::Failed(number)) }).unwrap();
            });
        }).unwrap();
        assert_eq!(soon("a reply", client.request(&Job(1))).await.unwrap(), done(3));
        let error = failed(client.request(&Job(0))).await;
        assert!(matches!(&error, RequestError::Failed { error: JobError::Failed(0), .. }), "{error:?}");
    }

    async fn reply_of_client_from_another_thread_arrives() {
        let (_place, server, client) = connected().await;
        let mut given = give_senders_of_client(&client);
        let id = server.clients()[0];
        for outcome in [Ok(done(2)), Err(JobError::Failed(2))] {
            let is_reply = outcome.is_ok();
            let reply = server.request(&Job(1), id);
            let (_, sender) = given.next().await;
            std::thread::spawn(move || sender.send(outcome).unwrap()).join().unwrap();
            assert_eq!(soon("a reply", reply).await.is_ok(), is_reply);
        }
        // Dropped and cancelled on a client, too.
        let reply = server.request(&Job(2), id);
        drop(given.next().await);
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == ErrorReply::UNANSWERED), "{error:?}");
        drop(server.request(&Job(3), id));
        let (_, sender) = given.next().await;
        soon("the cancel", sender.cancelled()).await;
        assert!(matches!(sender.send(Ok(done(1))), Err(ReplyError::Cancelled { topic: "job" })));
    }

    async fn reply_is_queued_at_the_call_before_what_is_sent_later() {
        let (place, server, _client) = connected().await;
        let mut given = give_senders(&server);
        let (mut peer, id) = raw_peer(&place, &server).await;
        for number in 0..100 {
            peer.write(format!("{{\"topic\":\"job\",\"message\":{number},\"id\":{number}}}\n")).await;
            let (_, sender) = given.next().await;
            server.send(&News(1), id).unwrap();
            sender.send(Ok(done(1))).unwrap();
            server.send(&News(2), id).unwrap();
            assert_eq!(peer.line().await, r#"{"topic":"news","message":1}"#);
            assert_eq!(peer.line().await, format!("{{\"topic\":\"job\",\"message\":\"x\",\"re\":{number}}}"));
            assert_eq!(peer.line().await, r#"{"topic":"news","message":2}"#);
        }
    }

    async fn sender_used_inside_its_responder_replies() {
        let (_place, server, client) = connected().await;
        server.respond_with::<Job>(|Job(number), reply| reply.send(Ok(done(number as usize))).unwrap()).unwrap();
        for number in 0..2_000 {
            assert_eq!(soon("a reply", client.request(&Job(number % 5))).await.unwrap(), done(number as usize % 5));
        }
    }

    async fn sender_dropped_unanswered_sends_error_reply() {
        let (place, server, client) = connected().await;
        let mut given = give_senders(&server);
        let reply = client.request(&Job(1));
        drop(given.next().await);
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "unanswered"), "{error:?}");
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"job\",\"message\":1,\"id\":4}\n").await;
        drop(given.next().await);
        assert_eq!(
            peer.line().await,
            r#"{"topic":"error","message":{"code":"unanswered","text":"the responder of `job` gave up the request without a reply"},"error":true,"re":4}"#
        );
        // A responder that panics drops the sender: one error reply.
        let token = server.respond_with::<Work>(|_, reply| {
            let _reply = reply;
            panic!("on purpose");
        }).unwrap();
        peer.write("{\"topic\":\"work\",\"message\":1,\"id\":5}\n").await;
        let panicked = |id| format!(r#"{{"topic":"error","message":{{"code":"panicked","text":"the responder of `work` panicked"}},"error":true,"re":{id}}}"#);
        assert_eq!(peer.line().await, panicked(5));
        raw_ping(&mut peer).await;
        server.off(token);
        // One that panics after it has replied, or passed the sender on.
        let mut kept = Events::<ReplySender<Work>>::new();
        let report = kept.reporter();
        server.respond_with::<Work>(move |Work(number), reply| {
            if number == 6 { reply.send(Ok(6)).unwrap() } else { report(reply) }
            panic!("on purpose");
        }).unwrap();
        peer.write("{\"topic\":\"work\",\"message\":6,\"id\":6}\n").await;
        assert_eq!(peer.line().await, r#"{"topic":"work","message":6,"re":6}"#);
        peer.write("{\"topic\":\"work\",\"message\":7,\"id\":7}\n").await;
        assert_eq!(peer.line().await, panicked(7));
        let error = kept.next().await.send(Ok(7)).unwrap_err();
        assert!(matches!(error, ReplyError::Closed { .. }), "{error:?}");
        raw_ping(&mut peer).await;
    }

    async fn sender_cancelled_resolves_and_send_returns_cancelled() {
        let (_place, server, client) = connected().await;
        let mut given = give_senders(&server);
        let reply = client.request(&Job(1));
        let (_, sender) = given.next().await;
        assert!(futures::FutureExt::now_or_never(sender.cancelled()).is_none());
        drop(reply);
        soon("the cancel", sender.cancelled()).await;
        soon("the cancel, again", sender.cancelled()).await;
        let error = sender.send(Ok(done(1))).unwrap_err();
        assert!(matches!(error, ReplyError::Cancelled { topic: "job" }), "{error:?}");
        // By a timeout, and for the asynchronous form.
        let error = client.request(&Job(2)).timeout(Duration::from_millis(1));
        let (_, sender) = given.next().await;
        failed(error).await;
        soon("the cancel", sender.cancelled()).await;
        let error = soon("an error", sender.send_async(Ok(done(1)))).await.unwrap_err();
        assert!(matches!(error, ReplyError::Cancelled { .. }), "{error:?}");
        ping(&client).await;
        assert_eq!(client.stats().late_replies, 0, "nothing is sent to a requester that has gone");
    }

    async fn sender_cancelled_and_dropped_sends_nothing() {
        let (place, server, _client) = connected().await;
        let mut given = give_senders(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"job\",\"message\":1,\"id\":1}\n").await;
        let (_, sender) = given.next().await;
        peer.write("{\"topic\":\"socket-ipc.cancel\",\"message\":1,\"re\":0}\n").await;
        soon("the cancel", sender.cancelled()).await;
        drop(sender);
        raw_ping(&mut peer).await;
    }

    async fn connection_ends_sender_is_cancelled_and_send_returns_closed() {
        let (place, server, client) = connected().await;
        let mut given = give_senders(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        peer.write("{\"topic\":\"job\",\"message\":1,\"id\":1}\n{\"topic\":\"job\",\"message\":1,\"id\":2}\n").await;
        let ((_, first), (_, second)) = (given.next().await, given.next().await);
        drop(peer);
        soon("the end", first.cancelled()).await;
        soon("the end", second.cancelled()).await;
        let error = first.send(Ok(done(1))).unwrap_err();
        assert!(matches!(error, ReplyError::Closed { topic: "job" }), "{error:?}");
        let error = soon("an error", second.send_async(Ok(done(1)))).await.unwrap_err();
        assert!(matches!(error, ReplyError::Closed { .. }), "{error:?}");
        // A server that closes, and one that is gone.
        let reply = client.request(&Job(3));
        let (_, sender) = given.next().await;
        server.disconnect(sender.client_id());
        failed(reply).await;
        soon("the end", sender.cancelled()).await;
        drop(server);
        assert!(matches!(sender.send(Ok(done(1))), Err(ReplyError::Closed { .. })));
    }

    async fn server_close_waits_for_sender_until_drain() {
        let (_place, server, client) = connected().await;
        let mut given = give_senders(&server);
        let reply = client.request(&Job(1));
        let (_, sender) = given.next().await;
        let closing = server.close();
        sender.send(Ok(done(1))).unwrap();
        assert_eq!(soon("a reply", reply).await.unwrap(), done(1));
        soon("the close", closing).await;
    }

    async fn outbox_full_send_gives_sender_and_reply_back() {
        const LEN: usize = 300_000;
        const COUNT: u64 = 40;
        let (place, server, _client) = connected_with(|server| server.outbox_len(LEN), |client| client).await;
        let mut given = give_senders(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        let requests: String = (0..COUNT).map(|id| format!("{{\"topic\":\"job\",\"message\":{id},\"id\":{id}}}\n")).collect();
        peer.write(requests).await;
        let mut back = Vec::new();
        for (number, sender) in given.take(COUNT as usize).await {
            match sender.send(Ok(done(100_000))) {
                // The kernel takes some of it meanwhile.
                Ok(()) => {}
                Err(ReplyError::OutboxFull { sender, reply, size, queued, limit }) => {
                    assert!(size > 100_000 && size + queued > limit && limit == LEN, "{size} {queued} {limit}");
                    assert_eq!(reply, Ok(done(100_000)));
                    back.push((number, sender, reply));
                }
                Err(error) => panic!("{error:?}"),
            }
            assert!(server.stats().outbox_len <= LEN as u64);
        }
        assert!(back.len() > 25, "{} came back", back.len());
        // They are sent once there is room, in any order.
        let sending: Vec<_> = back.into_iter().map(|(_, sender, reply)| tokio::spawn(sender.send_async(reply))).collect();
        let mut replied: Vec<_> = Vec::new();
        for _ in 0..COUNT {
            let line = peer.line().await;
            assert!(line.len() > 100_000 && line.starts_with("{\"topic\":\"job\",\"message\":\"xxx"), "{}", &line[..100]);
            replied.push(line.rsplit(':').next().unwrap().trim_end_matches('}').parse::<u64>().unwrap());
        }
        replied.sort_unstable();
        assert_eq!(replied, (0..COUNT).collect::<Vec<_>>());
        for sent in sending {
            soon("the reply", sent).await.unwrap().unwrap();
        }
        raw_ping(&mut peer).await;
    }

    async fn reply_too_long_is_unsendable_and_requester_gets_error_reply() {
        let (_place, server, client) = connected_with(|server| server.max_message_len(300), |client| client).await;
        let mut given = give_senders(&server);
        for paced in [false, true] {
            let reply = client.request(&Job(1));
            let (_, sender) = given.next().await;
            let sent = if paced { sender.send_async(Ok(done(1_000))).await } else { sender.send(Ok(done(1_000))) };
            let error = sent.unwrap_err();
            assert!(matches!(error, ReplyError::Unsendable(_)), "{error:?}");
            assert!(error.to_string().contains("over the limit of 300"), "{error}");
            let error = failed(reply).await;
            assert!(matches!(&error, RequestError::Rejected { reply, .. }
                if reply.code() == "failed" && reply.text().contains("over the limit of 300")), "{error:?}");
        }
    }

    async fn sender_holds_a_max_requests_place_until_it_goes() {
        let (place, server, _client) = connected_with(|server| server.max_requests(2), |client| client).await;
        let mut given = give_senders(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        for id in 1..=5 {
            peer.write(format!("{{\"topic\":\"job\",\"message\":{id},\"id\":{id}}}\n")).await;
        }
        let (first, second) = (given.next().await.1, given.next().await.1);
        // A cancel frees nothing: the ping behind the third request gets no reply.
        peer.write("{\"topic\":\"socket-ipc.cancel\",\"message\":1,\"re\":0}\n").await;
        soon("the cancel", first.cancelled()).await;
        let mut other = RawPeer::connect(place.socket()).await;
        for _ in 0..20 {
            raw_ping(&mut other).await;
        }
        assert!(given.rest().is_empty(), "a third was dispatched");
        drop(first);
        let third = given.next().await;
        assert_eq!(third.0, 3);
        assert!(given.rest().is_empty(), "a fourth was dispatched");
        second.send(Ok(done(1))).unwrap();
        assert_eq!(peer.line().await, r#"{"topic":"job","message":"x","re":2}"#);
        assert_eq!(given.next().await.0, 4);
        // Sent by reference to a full place: the fifth comes when the third goes.
        drop(third);
        assert_eq!(given.next().await.0, 5);
    }

    async fn send_async_dropped_frees_its_place_and_sends_error_reply() {
        const LEN: usize = 100_000;
        let (place, server, _client) = connected_with(|server| server.outbox_len(LEN).max_requests(50), |client| client).await;
        let mut given = give_senders(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        for id in 0..30 {
            peer.write(format!("{{\"topic\":\"job\",\"message\":{id},\"id\":{id}}}\n")).await;
        }
        let mut waiting = Vec::new();
        for (_, sender) in given.take(30).await {
            if let Err(ReplyError::OutboxFull { sender, reply, .. }) = sender.send(Ok(done(50_000))) {
                waiting.push(Box::pin(sender.send_async(reply)));
            }
        }
        assert!(waiting.len() > 5);
        // The kernel takes some of it meanwhile.
        waiting.retain_mut(|sending| futures::FutureExt::now_or_never(sending).is_none());
        let dropped = waiting.len();
        assert!(dropped > 5);
        drop(waiting);
        let mut unanswered = 0;
        for _ in 0..30 {
            unanswered += usize::from(peer.line().await.contains("unanswered"));
        }
        assert_eq!(unanswered, dropped);
        raw_ping(&mut peer).await;
        // What was just written is counted a moment later.
        soon("an empty outbox", async {
            while server.stats().outbox_len > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn send_async_waiting_ends_by_cancel_and_by_the_end_of_the_connection() {
        const LEN: usize = 100_000;
        let (place, server, _client) = connected_with(|server| server.outbox_len(LEN), |client| client).await;
        let mut given = give_senders(&server);
        let (mut peer, _) = raw_peer(&place, &server).await;
        for id in 0..30 {
            peer.write(format!("{{\"topic\":\"job\",\"message\":{id},\"id\":{id}}}\n")).await;
        }
        let mut waiting = Vec::new();
        for (number, sender) in given.take(30).await {
            if let Err(ReplyError::OutboxFull { sender, reply, .. }) = sender.send(Ok(done(50_000))) {
                waiting.push((number, tokio::spawn(sender.send_async(reply))));
            }
        }
        // The kernel takes some of it meanwhile, but not the last.
        let (number, sending) = waiting.pop().unwrap();
        peer.write(format!("{{\"topic\":\"socket-ipc.cancel\",\"message\":{number},\"re\":0}}\n")).await;
        let error = soon("the cancel", sending).await.unwrap().unwrap_err();
        assert!(matches!(error, ReplyError::Cancelled { .. }), "{error:?}");
        drop(peer);
        let mut closed = 0;
        for (_, sending) in waiting {
            if let Err(error) = soon("the end", sending).await.unwrap() {
                assert!(matches!(error, ReplyError::Closed { .. }), "{error:?}");
                closed += 1;
            }
        }
        assert!(closed > 10, "{closed} ended by it");
        until("freed memory", || server.stats().outbox_len == 0).await;
    }

    async fn old_sender_after_reconnect_sends_nothing_over_new_connection() {
        let (_place, server, client) = connected_with(
            |server| server,
            |client| client.reconnect_delay(Duration::from_millis(1)..=Duration::from_millis(1)),
        ).await;
        let mut given = give_senders_of_client(&client);
        let reply = server.request(&Job(1), server.clients()[0]);
        let (_, old) = given.next().await;
        let reply_2 = server.request(&Job(2), server.clients()[0]);
        let (_, dropped_later) = given.next().await;
        let (mut back, mut arrived) = (Events::new(), Events::new());
        let report = back.reporter();
        client.on_reconnect(move || report(()));
        let report = arrived.reporter();
        server.on_connection(report);
        server.disconnect(server.clients()[0]);
        let id = arrived.next().await;
        back.next().await;
        let error = failed(reply).await;
        assert!(matches!(&error, RequestError::ConnectionLost { .. }), "{error:?}");
        failed(reply_2).await;
        // The ids begin anew with each connection: a reply to the first would be taken for one to this.
        let reply = server.request(&Job(3), id);
        let (_, new) = given.next().await;
        let error = old.send(Ok(done(9))).unwrap_err();
        assert!(matches!(error, ReplyError::Closed { .. }), "{error:?}");
        drop(dropped_later);
        new.send(Ok(done(1))).unwrap();
        assert_eq!(soon("a reply", reply).await.unwrap(), done(1));
        assert_eq!(server.stats().late_replies, 0);
    }

    async fn actor_behind_a_channel_replies_later() {
        let (_place, server, client) = connected().await;
        let (jobs, mut submitted) = tokio::sync::mpsc::channel::<(Job, ReplySender<Job>)>(1_000);
        tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Some((Job(number), reply)) = submitted.recv().await {
                kept.push((number, reply));
                if kept.len() == 10 {
                    // In another order than that of the requests.
                    while let Some((number, reply)) = kept.pop() {
                        reply.send(Ok(done(number as usize))).unwrap();
                    }
                }
            }
        });
        server.respond_with::<Job>(move |job, reply| drop(jobs.try_send((job, reply)))).unwrap();
        for _ in 0..20 {
            let replies: Vec<_> = (0..10).map(|number| client.request(&Job(number))).collect();
            for (number, reply) in replies.into_iter().enumerate() {
                assert_eq!(soon("a reply", reply).await.unwrap(), done(number));
            }
        }
    }
}

#[test]
fn sender_is_send_and_sync_and_static() {
    fn check<T: Send + Sync + 'static>() {}
    check::<ReplySender<Job>>();
    check::<ReplySender<Job, ()>>();
    check::<ReplyError<Job>>();
}
