//! Attaching a struct: all its methods in one call, under one token, or none of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, ClientContext, Context, Error, ErrorReply, ListenerId, MessageErrorKind, Protocol, RegisterError,
    RequestError, Server, Topic, handlers,
};
use support::{Events, Place, soon};

use super::LONG;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum, reply_topic = "sum")]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "sum"]
struct Sum(i64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    text: &'m str,
}

#[derive(Protocol)]
#[protocol(to_server(Hello, Add, Log<'_>), to_client(Hello, Add))]
struct Both;

type Report = Box<dyn Fn(String) + Send + Sync>;

/// Counts and reports the messages of every topic, on a server and on a client.
struct Desk {
    received: AtomicUsize,
    report: Report,
}

impl Desk {
    fn new(events: &Events<String>) -> Self {
        Self { received: AtomicUsize::new(0), report: Box::new(events.reporter()) }
    }

    fn say(&self, what: &str) {
        let number = self.received.fetch_add(1, Ordering::SeqCst) + 1;
        (self.report)(format!("{number}: {what}"));
    }

    /// Panics if `left` is 0.
    fn sum(&self, Add { left, right }: Add) -> Result<Sum, ErrorReply> {
        self.say("add");
        assert!(left != 0, "nothing to add to");
        left.checked_add(right).map(Sum).ok_or_else(|| ErrorReply::new("too_much", "beyond counting"))
    }
}

#[handlers]
impl Desk {
    fn hello(&self, hello: Hello, context: Context<'_>) {
        self.say(&format!("hello {} of client {}", hello.name, context.client_id()));
        assert_ne!(hello.name, "panic");
    }

    fn add(&self, add: Add) -> Result<Sum, ErrorReply> {
        self.sum(add)
    }

    fn log(&self, log: Log<'_>) {
        self.say(&format!("log {}", log.text));
    }
}

#[handlers(server = Both)]
impl Desk {
    fn hello_of_both(&self, hello: Hello, context: Context<'_, Both>) {
        self.say(&format!("hello {} of client {}", hello.name, context.client_id()));
    }

    fn add_of_both(&self, add: Add) -> Result<Sum, ErrorReply> {
        self.sum(add)
    }

    fn log_of_both(&self, log: Log<'_>) {
        self.say(&format!("log {}", log.text));
    }
}

#[handlers(client)]
impl Desk {
    fn client_hello(&self, hello: Hello, context: ClientContext<'_>) {
        self.say(&format!("hello {}", hello.name));
        context.send(&Log { text: &format!("{} was here", hello.name) }).unwrap();
    }

    fn client_add(&self, add: Add) -> Result<Sum, ErrorReply> {
        self.sum(add)
    }

    fn client_log(&self, log: Log<'_>) {
        self.say(&format!("log {}", log.text));
    }
}

#[handlers(client = Both)]
impl Desk {
    fn client_hello_of_both(&self, hello: Hello, context: ClientContext<'_, Both>) {
        self.say(&format!("hello {}", hello.name));
        context.send(&Log { text: &format!("{} was here", hello.name) }).unwrap();
    }

    fn client_add_of_both(&self, add: Add) -> Result<Sum, ErrorReply> {
        self.sum(add)
    }
}

fn hello(name: &str) -> Hello {
    Hello { name: name.into() }
}

fn add(left: i64, right: i64) -> Add {
    Add { left, right }
}

/// A server and its connected client.
async fn connected() -> (Place, Server, Client) {
    let place = Place::new();
    let server = Server::builder(place.socket()).request_timeout(LONG).build();
    let client = Client::builder(place.socket()).request_timeout(LONG).build();
    let mut connections = Events::new();
    let token = server.on_connection(connections.reporter());
    server.listen().await.unwrap();
    soon("a connection", client.connect()).await.unwrap();
    connections.next().await;
    server.off(token);
    (place, server, client)
}

async fn sum(client: &Client, left: i64, right: i64) -> Result<Sum, RequestError> {
    soon("the sum", client.request(&add(left, right))).await
}

support::both_flavours! {
    async fn attach_struct_methods_listen_and_respond() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        server.attach_topics::<(Hello, Add)>(Desk::new(&received)).unwrap();
        client.send(&hello("you")).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        client.send(&hello("again")).unwrap();
        assert_eq!(received.take(3).await, ["1: hello you of client 1", "2: add", "3: hello again of client 1"]);
        let error = sum(&client, i64::MAX, 1).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "too_much"), "{error:?}");
        // A request without an id is replied to by a message.
        let mut sums = client.subscribe::<Sum>();
        client.send(&add(20, 22)).unwrap();
        assert_eq!(soon("the sum", sums.next()).await, Some(Sum(42)));
    }

    async fn attach_without_protocol_attaches_all_methods_of_the_block() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let (on_server, on_client) =
            (server.attach(Desk::new(&received)).unwrap(), client.attach(Desk::new(&received)).unwrap());
        client.send(&hello("you")).unwrap();
        client.send(&Log { text: "lines" }).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert_eq!(received.take(3).await, ["1: hello you of client 1", "2: log lines", "3: add"]);
        let id = server.clients()[0];
        server.send(&Log { text: "back" }, id).unwrap();
        assert_eq!(soon("the sum", server.request(&add(2, 3), id)).await.unwrap(), Sum(5));
        assert_eq!(received.take(2).await, ["1: log back", "2: add"]);
        assert!(server.off(on_server) && client.off(on_client));
        let error = sum(&client, 2, 3).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn attach_topics_of_a_protocol_attaches_only_these() {
        let mut received = Events::new();
        let (_place, server, client) = crate::connected::<Both>(|server, client| {
            server.attach_topics::<(Log<'_>, Hello)>(Desk::new(&received)).unwrap();
            client.attach_topics::<(Add,)>(Desk::new(&received)).unwrap();
        }).await;
        client.send(&hello("you")).unwrap();
        client.send(&Log { text: "lines" }).unwrap();
        assert_eq!(received.take(2).await, ["1: hello you of client 1", "2: log lines"]);
        let error = soon("the error reply", client.request(&add(2, 3))).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        let id = server.clients()[0];
        assert_eq!(soon("the sum", server.request(&add(2, 3), id)).await.unwrap(), Sum(5));
        // The rest may come later, from another struct.
        server.attach_topics::<(Add,)>(Desk::new(&received)).unwrap();
        assert_eq!(soon("the sum", client.request(&add(2, 3))).await.unwrap(), Sum(5));
    }

    async fn attach_to_client_methods_get_the_client_handle() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        client.attach_topics::<(Hello, Add, Log<'_>)>(Desk::new(&received)).unwrap();
        let report = received.reporter();
        server.on::<Log>(move |log, _| report(log.text.to_owned()));
        let id = server.clients()[0];
        server.send(&hello("you"), id).unwrap();
        assert_eq!(received.take(2).await, ["1: hello you", "you was here"]);
        assert_eq!(soon("the sum", server.request(&add(2, 3), id)).await.unwrap(), Sum(5));
        server.send(&Log { text: "lines" }, id).unwrap();
        assert_eq!(received.take(2).await, ["2: add", "3: log lines"]);
    }

    async fn attach_borrowed_topic_is_dispatched_to_method() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        server.attach_topics::<(Log<'_>,)>(Desk::new(&received)).unwrap();
        client.send(&Log { text: "nothing copied" }).unwrap();
        assert_eq!(received.next().await, "1: log nothing copied");
        // Escaped text can't be borrowed: a message error, as for a listener.
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| {
            let MessageErrorKind::Decode { type_name, .. } = error.kind() else { panic!("{error:?}") };
            report(type_name.to_string());
        });
        client.send(&Log { text: "two\nlines" }).unwrap();
        assert!(errors.next().await == "Log");
        client.send(&Log { text: "one line" }).unwrap();
        assert_eq!(received.next().await, "2: log one line");
    }

    async fn off_attached_struct_removes_all_its_methods() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let desk = Arc::new(Desk::new(&received));
        let token = server.attach_topics::<(Hello, Add, Log<'_>)>(Arc::clone(&desk)).unwrap();
        client.send(&hello("you")).unwrap();
        received.next().await;
        assert_eq!(desk.received.load(Ordering::SeqCst), 1, "the program reads the struct while it is attached");
        assert!(server.off(token));
        assert!(!server.off(token));
        client.send(&hello("you")).unwrap();
        client.send(&Log { text: "not dispatched" }).unwrap();
        let error = sum(&client, 2, 3).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        assert_eq!(desk.received.load(Ordering::SeqCst), 1);
        // The topic is free again, and so is the struct.
        server.attach_topics::<(Add,)>(Desk::new(&received)).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert!(Arc::into_inner(desk).is_some(), "the server still holds the struct");
    }

    async fn attach_topic_has_responder_attaches_nothing() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let responder = server.respond::<Add>(|Add { left, right }, _| Sum(left * right)).unwrap();
        let report = received.reporter();
        server.on_fallback(move |_, topic, _| report(format!("fallback {topic}")));
        let desk = Arc::new(Desk::new(&received));
        let RegisterError::AlreadyRegistered { topic, existing, rejected } =
            server.attach_topics::<(Hello, Add, Log<'_>)>(Arc::clone(&desk)).unwrap_err() else { panic!("another error") };
        assert_eq!((topic.as_str(), existing, rejected), ("add", std::any::type_name::<Add>(), existing));
        assert!(Arc::into_inner(desk).is_some(), "a part of it is still attached");
        client.send(&hello("you")).unwrap();
        client.send(&Log { text: "too" }).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(6), "the responder stays");
        assert_eq!(received.rest(), ["fallback hello", "fallback log"]);
        // A struct takes a topic as a responder does, even twice in the same struct.
        assert!(server.off(responder));
        server.attach_topics::<(Add, Add)>(Desk::new(&received)).unwrap_err();
        server.attach_topics::<(Hello, Add)>(Desk::new(&received)).unwrap();
        server.respond::<Add>(|Add { left, right }, _| Sum(left * right)).unwrap_err();
        server.attach_topics::<(Add, Hello)>(Desk::new(&received)).unwrap_err();
        client.send(&hello("you")).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert_eq!(received.take(2).await, ["1: hello you of client 1", "2: add"]);
        assert!(received.rest().is_empty());
    }

    async fn attach_beside_listeners_calls_in_order_of_registration() {
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let (first, last) = (Arc::new(Desk::new(&received)), Arc::new(Desk::new(&received)));
        let report = received.reporter();
        let removed = server.attach_topics::<(Hello,)>(Arc::clone(&first)).unwrap();
        server.on::<Hello>(move |_, _| report("a listener".to_owned()));
        server.attach_topics::<(Add, Hello)>(Arc::clone(&last)).unwrap();
        first.received.store(10, Ordering::SeqCst);
        client.send(&hello("you")).unwrap();
        assert_eq!(received.take(3).await, ["11: hello you of client 1", "a listener", "1: hello you of client 1"]);
        server.off(removed);
        client.send(&hello("you")).unwrap();
        assert_eq!(received.take(2).await, ["a listener", "2: hello you of client 1"]);
    }

    async fn attached_method_panics_is_reported_and_others_are_called() {
        let (_place, server, client) = connected().await;
        let (mut received, mut errors) = (Events::new(), Events::new());
        server.attach_topics::<(Hello, Add)>(Desk::new(&received)).unwrap();
        let report = received.reporter();
        server.on::<Hello>(move |hello, _| report(hello.name));
        let report = errors.reporter();
        server.on_error(move |error| {
            let Error::ListenerPanicked { listens_for, client_id, .. } = error else { panic!("{error:?}") };
            report(format!("{listens_for} of {}", client_id.unwrap()));
        });
        client.send(&hello("panic")).unwrap();
        assert_eq!(received.take(2).await, ["1: hello panic of client 1", "panic"]);
        assert_eq!(errors.next().await, "`hello` of 1");
        let error = sum(&client, 0, 3).await.unwrap_err();
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "add"), "{error:?}");
        assert_eq!(errors.next().await, "`add` of 1");
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5), "the connection and the struct stay usable");
        assert_eq!(received.take(2).await, ["2: add", "3: add"]);
    }

    async fn attached_method_removes_its_own_struct_is_not_called_again() {
        /// Attaches `desk` at its first message, and removes itself.
        struct HandOver {
            token: Mutex<Option<ListenerId>>,
            desk: Arc<Desk>,
        }
        #[handlers]
        impl HandOver {
            fn hello(&self, _: Hello, context: Context<'_>) {
                let server = context.server();
                server.attach_topics::<(Hello, Add)>(Arc::clone(&self.desk)).unwrap();
                assert!(server.off(self.token.lock().unwrap().unwrap()));
            }
        }
        let (_place, server, client) = connected().await;
        let mut received = Events::new();
        let desk = Arc::new(Desk::new(&received));
        let hand_over = Arc::new(HandOver { token: None.into(), desk: Arc::clone(&desk) });
        // The test is the only client, so no message comes before the token is stored.
        *hand_over.token.lock().unwrap() = Some(server.attach_topics::<(Hello,)>(Arc::clone(&hand_over)).unwrap());
        client.send(&hello("you")).unwrap();
        client.send(&hello("you")).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert_eq!(received.rest(), ["1: hello you of client 1", "2: add"]);
        assert!(Arc::into_inner(hand_over).is_some(), "the struct is still attached");
    }

    async fn attached_struct_endpoint_dropped_is_dropped() {
        /// Reports its drop.
        struct OnDrop(Report);
        #[handlers]
        impl OnDrop {
            fn hello(&self, _: Hello) {}
        }
        #[handlers(client)]
        impl OnDrop {
            fn client_hello(&self, _: Hello) {}
        }
        impl Drop for OnDrop {
            fn drop(&mut self) {
                (self.0)("dropped".to_owned());
            }
        }
        let (_place, server, client) = connected().await;
        let mut dropped = Events::new();
        server.attach_topics::<(Hello,)>(OnDrop(Box::new(dropped.reporter()))).unwrap();
        client.attach_topics::<(Hello,)>(OnDrop(Box::new(dropped.reporter()))).unwrap();
        client.send(&hello("you")).unwrap();
        // Handles must not keep listeners alive: methods that hold one would be a cycle.
        let handles = (server.handle(), client.handle());
        drop(client);
        dropped.next().await;
        drop(server);
        dropped.next().await;
        drop(handles);
    }

    async fn attach_typed_endpoint_covers_all_topics_of_the_protocol() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Both::server(place.socket()).request_timeout(LONG).build();
        let client = Both::client(place.socket()).request_timeout(LONG).build();
        let (desk, of_client) = (Arc::new(Desk::new(&received)), Desk::new(&received));
        let token = server.attach(Arc::clone(&desk)).unwrap();
        client.attach(of_client).unwrap();
        server.listen().await.unwrap();
        soon("a connection", client.connect()).await.unwrap();

        client.send(&Log { text: "lines" }).unwrap();
        client.send(&hello("you")).unwrap();
        assert_eq!(soon("the sum", client.request(&add(2, 3))).await.unwrap(), Sum(5));
        assert_eq!(received.take(3).await, ["1: log lines", "2: hello you of client 1", "3: add"]);
        let id = server.clients()[0];
        assert_eq!(soon("the sum", server.request(&add(2, 3), id)).await.unwrap(), Sum(5));
        server.send(&hello("client"), id).unwrap();
        assert_eq!(received.take(3).await, ["1: add", "2: hello client", "4: log client was here"]);

        // Here, too, attaching is all or nothing and gives one token.
        server.attach(Desk::new(&received)).unwrap_err();
        client.send(&Log { text: "once" }).unwrap();
        assert_eq!(received.next().await, "5: log once");
        assert!(server.off(token));
        client.send(&Log { text: "not dispatched" }).unwrap();
        let error = soon("the error reply", client.request(&add(2, 3))).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        assert!(received.rest().is_empty());
        assert_eq!(desk.received.load(Ordering::SeqCst), 5);
    }
}
