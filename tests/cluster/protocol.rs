//! Servers of a protocol in a domain.

use socket_ipc::Protocol;
use socket_ipc::cluster::{Cluster, ClusterOptions};
use support::nats::Nats;
use support::{Events, Place, soon};

use crate::nodes::{Divide, News, Who, news};

#[derive(Protocol)]
#[protocol(to_server(Divide), to_client(News, Who))]
struct Desk;

support::both_flavours! {
    async fn servers_of_a_protocol_broadcast_request_offer_and_forward() {
        let Some(nats) = Nats::start() else { return };
        let (places, mut nodes) = ([Place::new(), Place::new()], Vec::new());
        for (place, name) in places.iter().zip(["one", "other"]) {
            let server = Desk::server(place.socket()).build();
            server.listen().await.unwrap();
            let options = ClusterOptions::new(nats.url(), "desk").name(name);
            let cluster: Cluster<Desk> = soon("joining", Cluster::join(&server, options)).await.unwrap();
            nodes.push((server, cluster));
        }
        let [(one, near), (other, far)] = &nodes[..] else { unreachable!() };
        other.respond::<Divide>(|divide, _| Ok::<_, crate::nodes::DivideError>(divide.dividend / divide.divisor)).unwrap();
        far.offer::<Divide>().unwrap();
        near.forward::<Divide>().unwrap();
        let client = Desk::client(places[0].socket()).build();
        soon("a connection", client.connect()).await.unwrap();
        client.respond::<Who>(|Who| "a client of the protocol".to_owned()).unwrap();
        let mut received = Events::new();
        let report = received.reporter();
        client.on::<News>(move |news| report(news.number));
        let quotient = soon("the reply", async {
            loop {
                // Until the offer has arrived, no node responds.
                if let Ok(quotient) = client.request(&Divide { dividend: 6, divisor: 2 }).await {
                    return quotient;
                }
            }
        });
        assert_eq!(quotient.await, 3);
        far.broadcast(&news(1)).unwrap();
        assert_eq!(received.next().await, 1);
        one.group("room").join(one.clients()[0]).unwrap();
        assert!(soon("the subscription", near.group("room").subscribed()).await);
        far.group("room").broadcast(&news(3)).unwrap();
        assert_eq!(received.next().await, 3);
        let to = near.client_ref(one.clients()[0]);
        soon("the acknowledgement", far.send(&news(2), &to)).await.unwrap();
        assert_eq!(received.next().await, 2);
        assert_eq!(soon("the reply", far.request(&Who, &to)).await.unwrap(), "a client of the protocol");
    }
}
