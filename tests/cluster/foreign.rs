//! Plain NATS programs, without this library, take part.

use futures::StreamExt as _;
use socket_ipc::cluster::ClusterOptions;
use support::nats::Nats;
use support::{Events, soon};

use crate::nodes::{Divide, DivideError, News, Node, news};

support::both_flavours! {
    async fn plain_program_requests_listens_and_sends() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::with(ClusterOptions::new(nats.url(), "desk").name("one").accept_foreign_inboxes()).await;
        one.responds_to_divide();
        let mut received = Events::new();
        let report = received.reporter();
        one.server.on::<News>(move |news, _| report(news));
        one.cluster.offer::<News>().unwrap();
        let plain = async_nats::connect(nats.url()).await.unwrap();

        // A request, and one that fails.
        let request = |payload: &'static str| plain.request("desk.q.divide", payload.into());
        let reply = soon("the reply", async {
            loop {
                // Until the offer has arrived, nobody responds.
                if let Ok(reply) = request(r#"{"dividend":42,"divisor":6}"#).await {
                    return reply;
                }
            }
        })
        .await;
        assert_eq!((reply.payload.as_ref(), reply.headers), (&b"7"[..], None));
        let reply = request(r#"{"dividend":42,"divisor":0}"#).await.unwrap();
        assert_eq!(reply.headers.unwrap().get("Socket-Ipc-Error").unwrap().as_str(), "true");
        let error: serde_json::Value = serde_json::from_slice(&reply.payload).unwrap();
        assert_eq!((&error["code"], &error["data"]["ByZero"]["dividend"]), (&"failed".into(), &42.into()));
        let reply = request("{").await.unwrap();
        assert!(std::str::from_utf8(&reply.payload).unwrap().contains("not JSON"), "{reply:?}");

        // A broadcast, as a subscription sees it.
        let mut broadcasts = plain.subscribe("desk.b.*.*.>").await.unwrap();
        plain.flush().await.unwrap();
        soon("a broadcast", async {
            loop {
                one.cluster.broadcast(&news(3)).unwrap();
                tokio::select! {
                    message = broadcasts.next() => {
                        let message = message.unwrap();
                        assert!(message.subject.ends_with(".news%20of%2Fthe%20day.%2A"), "{}", message.subject);
                        let line = std::str::from_utf8(&message.payload).unwrap().lines().next().unwrap();
                        assert_eq!(line, r#"{"topic":"news of/the day.*","message":{"number":3,"text":"news 3"}}"#);
                        break;
                    }
                    () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
                }
            }
        })
        .await;

        // A message to a listener of the server.
        let subject = "desk.q.news%20of%2Fthe%20day.%2A";
        plain.publish(subject, r#"{"number":9,"text":"from outside"}"#.into()).await.unwrap();
        assert_eq!(received.next().await, News { number: 9, text: "from outside".into() });
    }

    async fn plain_program_broadcasts_and_responds() {
        let Some(nats) = Nats::start() else { return };
        let one = Node::join(&nats, "one").await;
        one.cluster.forward::<Divide>().unwrap();
        let plain = async_nats::connect(nats.url()).await.unwrap();
        let mut requests = plain.queue_subscribe("desk.q.divide", "socket-ipc".into()).await.unwrap();
        // The engine has acted on the subscription.
        assert!(plain.request("desk.q.nobody", "".into()).await.is_err());
        let client = one.client().await;
        let (mut received, replying) = (Events::new(), plain.clone());
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let divide: Divide = serde_json::from_slice(&request.payload).unwrap();
                let reply = request.reply.unwrap();
                if divide.divisor == 0 {
                    let mut headers = async_nats::HeaderMap::new();
                    headers.insert("Socket-Ipc-Error", "true");
                    let error = r#"{"code":"failed","text":"","data":{"ByZero":{"dividend":1}}}"#;
                    replying.publish_with_headers(reply, headers, error.into()).await.unwrap();
                } else {
                    let quotient = (divide.dividend / divide.divisor).to_string();
                    replying.publish(reply, quotient.into()).await.unwrap();
                }
            }
        });
        let divide = |divisor| client.request(&Divide { dividend: 1, divisor });
        assert_eq!(soon("the reply", divide(1)).await.unwrap(), 1);
        let error = soon("the error", divide(0)).await.unwrap_err();
        let by_zero = DivideError::ByZero { dividend: 1 };
        assert!(matches!(error, socket_ipc::RequestError::Failed { error, .. } if error == by_zero));
        let line = r#"{"topic":"news of/the day.*","message":{"number":4,"text":""}}"#;
        let subject = "desk.b.plain.0123456789abcdef.news%20of%2Fthe%20day.%2A";
        plain.publish(subject, format!("{line}\n{line}").into()).await.unwrap();
        assert_eq!(received.take(2).await, [4, 4]);
    }
}
