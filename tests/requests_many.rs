//! A great many requests, with replies out of order.

use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientHandle, RequestError, Server, Topic};
use support::{Place, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "square", reply = Squared)]
struct Square(u64);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "squared"]
struct Squared(u64);

const REQUESTS: u64 = 100_000;
const IN_FLIGHT: u64 = 512;

/// Longer than any test takes: a request that fails earlier did not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

/// A server whose replies come after random delays, so in any order, and a client that is connected to it.
async fn connected() -> (Place, Server, Client) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let place = Place::new();
    let server = Server::builder(place.socket()).request_timeout(LONG).build();
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
    server
        .respond_async::<Square>(move |Square(number), _client_id| {
            let delay = Duration::from_micros(random.lock().unwrap().u64(0..2_000));
            async move {
                // The delays make replies overtake each other.
                tokio::time::sleep(delay).await;
                Squared(number * number)
            }
        })
        .unwrap();
    server.listen().await.unwrap();
    let client = Client::builder(place.socket()).request_timeout(LONG).build();
    client.connect().await.unwrap();
    (place, server, client)
}

/// Sends a request, and returns its number with the reply.
async fn request(client: &ClientHandle, number: u64) -> (u64, Result<Squared, RequestError>) {
    (number, client.request(&Square(number)).await)
}

support::both_flavours! {
    async fn hundred_thousand_replies_out_of_order_each_reach_their_request() {
        let (_place, _server, client) = connected().await;
        let mut replies: FuturesUnordered<_> = (0..IN_FLIGHT).map(|number| request(&client, number)).collect();
        let (mut next, mut replied) = (IN_FLIGHT, 0);
        let (mut newest, mut overtaken) = (0, 0);
        while let Some((number, reply)) = soon("a reply", replies.next()).await {
            assert_eq!(reply.unwrap(), Squared(number * number));
            replied += 1;
            overtaken += u64::from(number < newest);
            newest = newest.max(number);
            if next < REQUESTS {
                replies.push(request(&client, next));
                next += 1;
            }
        }
        assert_eq!(replied, REQUESTS);
        assert!(overtaken > REQUESTS / 10, "only {overtaken} replies were overtaken by later ones");
        assert_eq!(client.stats().late_replies, 0);
    }

    async fn request_without_responder_fails_before_next_reply_arrives() {
        let (_place, server, client) = connected().await;
        server.respond_raw("echo", Some("echo reply"), |message, _| Ok(message.into_owned())).unwrap();
        client.respond_raw("echo", Some("echo reply"), |message| Ok(message.into_owned())).unwrap();
        for round in 0..1_000 {
            let (missing, echo) = (client.request_raw("missing", &round), client.request_raw("echo", &round));
            assert_eq!(soon("the echo", echo).await.unwrap().as_str(), round.to_string());
            let error = missing.now_or_never().expect("it still waits").unwrap_err();
            assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "missing"), "{error:?}");
            // From the server to the client.
            let id = server.clients()[0];
            let (missing, echo) = (server.request_raw("missing", &round, id), server.request_raw("echo", &round, id));
            assert_eq!(soon("the echo", echo).await.unwrap().as_str(), round.to_string());
            let error = missing.now_or_never().expect("it still waits").unwrap_err();
            assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "missing"), "{error:?}");
        }
    }
}
