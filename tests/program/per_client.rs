//! Values that a server keeps for each client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ClientId, Error, PerClient, Server, ServerEvent, Topic};
use support::{Events, Place, soon};

use crate::accepted;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = u64)]
struct Add(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note(u64);

/// A sum that reports its end.
struct Sum {
    total: Mutex<u64>,
    of: ClientId,
    end: Box<dyn Fn((ClientId, u64)) + Send + Sync>,
}

impl Drop for Sum {
    fn drop(&mut self) {
        (self.end)((self.of, *self.total.lock().unwrap()));
    }
}

fn sums(server: &Server, ended: &Events<(ClientId, u64)>) -> PerClient<Sum> {
    let report = ended.reporter();
    server.per_client(move |of| Sum { total: Mutex::default(), of, end: Box::new(report.clone()) })
}

async fn connected(place: &Place) -> Client {
    let client = Client::new(place.socket());
    soon("a connection", client.connect()).await.unwrap();
    client
}

support::both_flavours! {
    async fn per_client_value_is_there_for_every_handler_and_connection_close() {
        let place = Place::new();
        let (mut ended, mut closed) = (Events::new(), Events::new());
        let server = Server::new(place.socket());
        let sums = sums(&server, &ended);
        let (first, adding, noting, last) = (sums.clone(), sums.clone(), sums.clone(), sums.clone());
        server.on_connection(move |client_id| *first.get(client_id).unwrap().total.lock().unwrap() += 1);
        server
            .respond_async::<Add>(move |Add(number), client_id| {
                let sum = adding.get(client_id);
                async move {
                    tokio::task::yield_now().await;
                    let sum = sum.unwrap();
                    let mut total = sum.total.lock().unwrap();
                    *total += number;
                    *total
                }
            })
            .unwrap();
        server.on::<Note>(move |Note(number), client_id| *noting.get(client_id).unwrap().total.lock().unwrap() += number);
        let report = closed.reporter();
        server.on_connection_close(move |client_id, _reason| {
            report((client_id, *last.get(client_id).unwrap().total.lock().unwrap()));
        });
        server.listen().await.unwrap();

        let (ann, bob) = (connected(&place).await, connected(&place).await);
        let [first, second] = accepted(&server).await;
        ann.send(&Note(10)).unwrap();
        assert_eq!(soon("a reply", ann.request(&Add(100))).await.unwrap(), 111);
        assert_eq!(soon("a reply", bob.request(&Add(5))).await.unwrap(), 6);
        assert_eq!(*sums.get(first).unwrap().total.lock().unwrap(), 111);
        ann.close().await;
        assert_eq!(closed.next().await, (first, 111));
        assert_eq!(ended.next().await, (first, 111));
        assert!(sums.get(first).is_none());
        assert!(sums.get(second).is_some());
        server.close().await;
        assert_eq!(ended.next().await, (second, 6));
        assert!(sums.get(second).is_none());
        assert_eq!(closed.rest(), [(second, 6)]);
    }

    async fn per_client_first_use_in_connection_close_makes_no_value() {
        let place = Place::new();
        let mut closed = Events::new();
        let server = Server::new(place.socket());
        let made = server.per_client(|_client_id| panic!("a value was made"));
        let (report, unused): (_, PerClient<()>) = (closed.reporter(), made);
        server.on_connection_close(move |client_id, _reason| report(unused.get(client_id).is_none()));
        server.listen().await.unwrap();
        connected(&place).await.close().await;
        assert!(closed.next().await);
    }

    // What was sent before the end may be read after it: the value has gone by then.
    async fn per_client_value_has_gone_when_late_messages_and_events_are_read() {
        let place = Place::new();
        let mut ended = Events::new();
        let server = Server::new(place.socket());
        let sums = sums(&server, &ended);
        let first = sums.clone();
        server.on_connection(move |client_id| drop(first.get(client_id).unwrap()));
        let (mut notes, mut events) = (server.subscribe::<Note>(), server.events::<Note>());
        server.listen().await.unwrap();
        let client = connected(&place).await;
        client.send(&Note(1)).unwrap();
        client.close().await;
        let (client_id, _) = ended.next().await;
        assert_eq!(soon("the message", notes.next()).await.map(|(Note(number), from)| (number, from)), Some((1, client_id)));
        assert!(sums.get(client_id).is_none());
        // So a loop over both keeps a map of its own.
        let mut noted = HashMap::new();
        loop {
            match soon("an event", events.next()).await.unwrap() {
                ServerEvent::Message(Note(number), from) => {
                    assert!(sums.get(from).is_none());
                    *noted.entry(from).or_insert(0) += number;
                }
                ServerEvent::Disconnected(gone, _) => {
                    assert!(sums.get(gone).is_none());
                    assert_eq!((gone, noted.remove(&gone)), (client_id, Some(1)));
                    break;
                }
                _ => {}
            }
        }
    }

    async fn per_client_closure_panics_makes_no_value_and_is_reported() {
        let place = Place::new();
        let mut errors = Events::new();
        let server = Server::new(place.socket());
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let values = server.per_client(move |_client_id| {
            assert!(counted.fetch_add(1, Ordering::Relaxed) > 0, "not the first time");
            7
        });
        let used = values.clone();
        server.respond::<Add>(move |Add(number), client_id| number + *used.get(client_id).unwrap()).unwrap();
        let report = errors.reporter();
        server.on_error(move |error| report(error.to_string()));
        server.listen().await.unwrap();
        let client = connected(&place).await;
        soon("an error", client.request(&Add(1))).await.unwrap_err();
        assert!(errors.next().await.contains("not the first time"));
        assert_eq!(soon("a reply", client.request(&Add(1))).await.unwrap(), 8);
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    async fn per_client_value_panics_as_it_is_dropped_is_reported_and_others_go_on() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("at the end");
            }
        }
        let place = Place::new();
        let (mut errors, mut closed) = (Events::new(), Events::new());
        let server = Server::new(place.socket());
        let (bombs, others) = (server.per_client(|_| Bomb), server.per_client(|client_id| client_id));
        let (first, second) = (bombs.clone(), others.clone());
        server.on_connection(move |client_id| drop((first.get(client_id), second.get(client_id))));
        let report = closed.reporter();
        server.on_connection_close(move |client_id, _reason| report(client_id));
        let report = errors.reporter();
        server.on_error(move |error| {
            if let Error::ListenerPanicked { listens_for, client_id, panic } = error {
                report((listens_for.clone(), *client_id, panic.clone()));
            }
        });
        server.listen().await.unwrap();
        connected(&place).await.close().await;
        let client_id = closed.next().await;
        let expected = ("`per_client`, as a value was dropped,".to_owned(), Some(client_id), "at the end".to_owned());
        assert_eq!(errors.next().await, expected);
        connected(&place).await.close().await;
        let client_id = closed.next().await;
        assert_eq!(errors.next().await.1, Some(client_id));
        assert!(others.get(client_id).is_none());
    }

    async fn per_client_server_dropped_drops_every_value() {
        let place = Place::new();
        let mut ended = Events::new();
        let server = Server::new(place.socket());
        let sums = sums(&server, &ended);
        let first = sums.clone();
        server.on_connection(move |client_id| drop(first.get(client_id).unwrap()));
        server.listen().await.unwrap();
        let (_ann, _bob) = (connected(&place).await, connected(&place).await);
        let clients: [_; 2] = accepted(&server).await;
        drop(server);
        let mut gone = [ended.next().await.0, ended.next().await.0];
        gone.sort_unstable();
        assert_eq!(gone[..], clients[..]);
        assert!(clients.iter().all(|client_id| sums.get(*client_id).is_none()));
    }

    async fn per_client_first_uses_at_one_moment_share_one_value() {
        let place = Place::new();
        let server = Server::new(place.socket());
        // Both calls are inside the closure at once: no lock is held there.
        let both = Arc::new(Barrier::new(2));
        let (inside, calls) = (Arc::clone(&both), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        let values = server.per_client(move |_client_id| {
            inside.wait();
            counted.fetch_add(1, Ordering::Relaxed)
        });
        server.listen().await.unwrap();
        let _client = connected(&place).await;
        let [client_id] = accepted(&server).await;
        let threads = [0; 2].map(|_| {
            let values = values.clone();
            std::thread::spawn(move || values.get(client_id).unwrap())
        });
        let [one, other] = threads.map(|thread| thread.join().unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(Arc::ptr_eq(&one, &values.get(client_id).unwrap()));
    }
}

/// Clients come and go while other threads use the value of each: none is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn per_client_used_while_clients_leave_keeps_no_value() {
    let server = Server::new("in memory");
    let alive = Arc::new(AtomicUsize::new(0));
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let counter = Arc::clone(&alive);
    let values = server.per_client(move |_client_id| {
        counter.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&counter))
    });
    for _ in 0..500 {
        let client = server.in_memory_client().build();
        client.connect().await.unwrap();
        let [client_id] = accepted(&server).await;
        let used = values.clone();
        let user = std::thread::spawn(move || while used.get(client_id).is_some() {});
        client.close().await;
        let gone = async {
            while !user.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        soon("the end of the value", gone).await;
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}
