//! Several topics in one subscription, in the order in which they were sent.

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use socket_ipc::limits::SUBSCRIPTION_LEN;
use socket_ipc::{
    Client, ClientHandle, ClientId, Protocol, Server, ServerHandle, SetToClient, SetToServer, Subscription,
    Topic, TopicSet,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "number"]
struct Number(usize);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "word"]
struct Word(String);

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "flag"]
struct Flag(bool);

#[derive(TopicSet, Debug, PartialEq)]
enum Both {
    Number(Number),
    Word(Word),
}

#[derive(TopicSet, Debug, PartialEq)]
enum OnlyFlag {
    Flag(Flag),
}

#[derive(Protocol)]
#[protocol(to_server(Number, Word), to_client(Number, Word, Flag))]
struct Talk;

async fn listening() -> (Place, Server) {
    let place = Place::new();
    let server = Server::new(place.socket());
    server.listen().await.unwrap();
    (place, server)
}

fn line(number: usize) -> String {
    match number % 3 {
        0 => format!("{{\"topic\":\"number\",\"message\":{number}}}\n"),
        1 => format!("{{\"topic\":\"word\",\"message\":\"{number}\"}}\n"),
        _ => "{\"topic\":\"flag\",\"message\":true}\n".to_owned(),
    }
}

fn expected(number: usize) -> Option<Both> {
    match number % 3 {
        0 => Some(Both::Number(Number(number))),
        1 => Some(Both::Word(Word(number.to_string()))),
        _ => None,
    }
}

/// What every set and every topic can be given to.
fn all_of_server<P, S: TopicSet + SetToServer<P>>(server: &ServerHandle<P>) -> Subscription<(S, ClientId)> {
    server.subscribe::<S>()
}

fn all_of_client<P, S: TopicSet + SetToClient<P>>(client: &ClientHandle<P>) -> Subscription<S> {
    client.subscribe()
}

support::both_flavours! {
    async fn server_set_yields_topics_in_order_sent() {
        const COUNT: usize = 6 * SUBSCRIPTION_LEN;
        let (place, server) = listening().await;
        let mut messages = server.subscribe::<Both>();
        let mut peer = RawPeer::connect(place.socket()).await;
        let lines: String = (0..COUNT).map(line).collect();
        // The subscription has room for a part only: the rest waits.
        let write = tokio::spawn(async move { peer.write(lines).await });
        for message in (0..COUNT).filter_map(expected) {
            let (found, id) = soon("a message", messages.next()).await.unwrap();
            assert_eq!((found, id.get()), (message, 1));
        }
        write.await.unwrap();
    }

    async fn client_set_yields_topics_in_order_sent_and_ends_at_close() {
        let (place, server) = listening().await;
        let handle = server.handle();
        server.on_connection(move |id| {
            for number in 0..100 {
                match number % 3 {
                    0 => handle.send(&Number(number), id).unwrap(),
                    1 => handle.send(&Word(number.to_string()), id).unwrap(),
                    _ => handle.send(&Flag(true), id).unwrap(),
                }
            }
        });
        let client = Client::new(place.socket());
        let (mut messages, mut words) = (client.subscribe::<Both>(), client.subscribe::<Word>());
        client.connect().await.unwrap();
        for message in (0..100).filter_map(expected) {
            if let Both::Word(word) = &message {
                assert_eq!(soon("a word", words.next()).await.as_ref(), Some(word));
            }
            assert_eq!(soon("a message", messages.next()).await, Some(message));
        }
        client.close().await;
        assert_eq!(soon("the end", messages.next()).await, None);
    }

    async fn set_message_of_other_type_is_reported_and_skipped() {
        let (place, server) = listening().await;
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| report(error.to_string()));
        let messages = server.subscribe::<Both>();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"word\",\"message\":5}\n".to_owned() + &line(0)).await;
        let found = soon("a message", Box::pin(messages).next()).await.unwrap().0;
        assert_eq!(found, Both::Number(Number(0)));
        assert!(errors.next().await.contains("`word`"));
    }

    async fn set_dropped_is_removed_for_every_topic() {
        let (place, server) = listening().await;
        let messages = server.subscribe::<Both>();
        let mut fallback = Events::new();
        let report = fallback.reporter();
        server.on_fallback(move |_, topic, _| report(topic.to_owned()));
        let mut peer = RawPeer::connect(place.socket()).await;
        let lines: String = (0..3 * SUBSCRIPTION_LEN).map(line).collect();
        peer.write(&lines).await;
        assert_eq!(fallback.next().await, "flag", "the others have a listener");
        drop(messages);
        peer.write("{\"topic\":\"number\",\"message\":1}\n{\"topic\":\"word\",\"message\":\"1\"}\n").await;
        let mut topics = std::collections::BTreeSet::new();
        while topics.len() < 3 {
            topics.insert(fallback.next().await);
        }
    }

    async fn set_of_protocol_travels_in_its_direction() {
        let place = Place::new();
        let server = Talk::server(place.socket()).build();
        let mut on_server = all_of_server::<_, Both>(&server);
        server.listen().await.unwrap();
        let client = Talk::client(place.socket()).build();
        let mut on_client = all_of_client::<_, Both>(&client);
        let mut flags = all_of_client::<_, OnlyFlag>(&client);
        let mut one = all_of_client::<Talk, Word>(&client);
        client.connect().await.unwrap();
        client.send(&Word("to the server".into())).unwrap();
        let (found, id) = soon("a word", on_server.next()).await.unwrap();
        assert_eq!(found, Both::Word(Word("to the server".into())));
        server.send(&Flag(true), id).unwrap();
        server.send(&Word("back".into()), id).unwrap();
        assert_eq!(soon("a flag", flags.next()).await, Some(OnlyFlag::Flag(Flag(true))));
        assert_eq!(soon("a word", on_client.next()).await, Some(Both::Word(Word("back".into()))));
        assert_eq!(soon("a word", one.next()).await, Some(Word("back".into())));
    }
}
