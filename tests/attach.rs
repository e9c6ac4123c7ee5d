//! Listeners and responders that are methods of a struct, attached in one call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, ClientHandle, Context, Error, ErrorReply, Hears, ListenerId, MessageErrorKind, Protocol,
    RegisterError, RequestError, Server, Topic,
};
use support::{Events, Place, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
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
#[protocol(to_server(Hello, Add -> Sum, Log<'_>), to_client(Hello, Add -> Sum))]
struct Both;

/// Longer than any test takes: what fails before it does not wait for it.
const LONG: Duration = Duration::from_secs(3_600);

type Report = Box<dyn Fn(String) + Send + Sync>;

/// Counts what it hears, whatever the topic, and says so; on a server and on a client.
struct Room {
    heard: AtomicUsize,
    report: Report,
}

impl Room {
    fn new(events: &Events<String>) -> Self {
        Self { heard: AtomicUsize::new(0), report: Box::new(events.reporter()) }
    }

    fn say(&self, what: &str) {
        let number = self.heard.fetch_add(1, Ordering::SeqCst) + 1;
        (self.report)(format!("{number}: {what}"));
    }

    /// Panics where there is nothing to add to.
    fn add(&self, Add { left, right }: Add) -> Result<Sum, ErrorReply> {
        self.say("add");
        assert!(left != 0, "nothing to add to");
        left.checked_add(right).map(Sum).ok_or_else(|| ErrorReply::new("too_much", "beyond counting"))
    }
}

impl<P: 'static> Hears<Hello, Server<P>> for Room {
    fn hear(&self, hello: Hello, context: Context<'_, P>) {
        self.say(&format!("hello {} of client {}", hello.name, context.client_id()));
        assert_ne!(hello.name, "panic");
    }
}

impl<P: 'static> Hears<Add, Server<P>> for Room {
    fn hear(&self, add: Add, _: Context<'_, P>) -> Result<Sum, ErrorReply> {
        self.add(add)
    }
}

impl<P: 'static> Hears<Log<'_>, Server<P>> for Room {
    fn hear(&self, log: Log<'_>, _: Context<'_, P>) {
        self.say(&format!("log {}", log.text));
    }
}

impl<P: 'static> Hears<Hello, Client<P>> for Room {
    fn hear(&self, hello: Hello, client: &ClientHandle<P>) {
        self.say(&format!("hello {}", hello.name));
        client.send_raw("log", &serde_json::json!({ "text": format!("{} was here", hello.name) })).unwrap();
    }
}

impl<P: 'static> Hears<Add, Client<P>> for Room {
    fn hear(&self, add: Add, _: &ClientHandle<P>) -> Result<Sum, ErrorReply> {
        self.add(add)
    }
}

impl<P: 'static> Hears<Log<'_>, Client<P>> for Room {
    fn hear(&self, log: Log<'_>, _: &ClientHandle<P>) {
        self.say(&format!("log {}", log.text));
    }
}

fn hello(name: &str) -> Hello {
    Hello { name: name.into() }
}

fn add(left: i64, right: i64) -> Add {
    Add { left, right }
}

/// A server and a client of it that is connected.
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
    async fn methods_listen_and_respond_and_share_their_struct() {
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        server.attach::<(Hello, Add)>(Room::new(&heard)).unwrap();
        client.send(&hello("you")).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        client.send(&hello("again")).unwrap();
        assert_eq!(heard.take(3).await, ["1: hello you of client 1", "2: add", "3: hello again of client 1"]);
        let error = sum(&client, i64::MAX, 1).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { code, .. } if code == "too_much"), "{error:?}");
        // A request without a number is answered by a message.
        let mut sums = client.subscribe::<Sum>();
        client.send(&add(20, 22)).unwrap();
        assert_eq!(soon("the sum", sums.next()).await, Some(Sum(42)));
    }

    async fn methods_of_a_client_have_its_handle() {
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        client.attach::<(Hello, Add, Log<'_>)>(Room::new(&heard)).unwrap();
        let report = heard.reporter();
        server.on::<Log>(move |log, _| report(log.text.to_owned()));
        let id = server.clients()[0];
        server.send(&hello("you"), id).unwrap();
        assert_eq!(heard.take(2).await, ["1: hello you", "you was here"]);
        assert_eq!(soon("the sum", server.request(&add(2, 3), id)).await.unwrap(), Sum(5));
        server.send(&Log { text: "lines" }, id).unwrap();
        assert_eq!(heard.take(2).await, ["2: add", "3: log lines"]);
    }

    async fn a_topic_that_borrows_is_heard_by_a_method_too() {
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        server.attach::<(Log<'_>,)>(Room::new(&heard)).unwrap();
        client.send(&Log { text: "nothing copied" }).unwrap();
        assert_eq!(heard.next().await, "1: log nothing copied");
        // What can't be borrowed, as it is escaped, is a message error as it is for a listener.
        let mut errors = Events::new();
        let report = errors.reporter();
        server.on_message_error(move |error, _| {
            let MessageErrorKind::Decode { type_name, .. } = error.kind() else { panic!("{error:?}") };
            report(type_name.to_string());
        });
        client.send(&Log { text: "two\nlines" }).unwrap();
        assert!(errors.next().await.contains("::Log"));
        client.send(&Log { text: "one line" }).unwrap();
        assert_eq!(heard.next().await, "2: log one line");
    }

    async fn the_one_token_removes_all_methods_and_with_them_the_struct() {
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        let room = Arc::new(Room::new(&heard));
        let token = server.attach::<(Hello, Add, Log<'_>)>(Arc::clone(&room)).unwrap();
        client.send(&hello("you")).unwrap();
        heard.next().await;
        assert_eq!(room.heard.load(Ordering::SeqCst), 1, "the program looks into it meanwhile");
        assert!(server.off(token));
        assert!(!server.off(token));
        client.send(&hello("you")).unwrap();
        client.send(&Log { text: "unheard" }).unwrap();
        let error = sum(&client, 2, 3).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        assert_eq!(room.heard.load(Ordering::SeqCst), 1);
        // The topic is free again, and so is the struct.
        server.attach::<(Add,)>(Room::new(&heard)).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert!(Arc::into_inner(room).is_some(), "something of the server holds it still");
    }

    async fn an_attach_to_a_topic_that_has_a_responder_attaches_nothing() {
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        let responder = server.respond::<Add>(|Add { left, right }, _| Sum(left * right)).unwrap();
        let report = heard.reporter();
        server.on_fallback(move |_, topic, _| report(format!("unheard {topic}")));
        let room = Arc::new(Room::new(&heard));
        let RegisterError::AlreadyRegistered { topic, existing, refused } =
            server.attach::<(Hello, Add, Log<'_>)>(Arc::clone(&room)).unwrap_err() else { panic!("another error") };
        assert_eq!((topic.as_str(), existing, refused), ("add", std::any::type_name::<Add>(), existing));
        assert!(Arc::into_inner(room).is_some(), "it is still there in part");
        client.send(&hello("you")).unwrap();
        client.send(&Log { text: "too" }).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(6), "the responder stays");
        assert_eq!(heard.rest(), ["unheard hello", "unheard log"]);
        // A room takes a topic as a responder does, even from itself.
        assert!(server.off(responder));
        server.attach::<(Add, Add)>(Room::new(&heard)).unwrap_err();
        server.attach::<(Hello, Add)>(Room::new(&heard)).unwrap();
        server.respond::<Add>(|Add { left, right }, _| Sum(left * right)).unwrap_err();
        server.attach::<(Add, Hello)>(Room::new(&heard)).unwrap_err();
        client.send(&hello("you")).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert_eq!(heard.take(2).await, ["1: hello you of client 1", "2: add"]);
        assert!(heard.rest().is_empty());
    }

    async fn rooms_and_listeners_hear_in_the_order_they_were_attached() {
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        let (first, last) = (Arc::new(Room::new(&heard)), Arc::new(Room::new(&heard)));
        let report = heard.reporter();
        let leaves = server.attach::<(Hello,)>(Arc::clone(&first)).unwrap();
        server.on::<Hello>(move |_, _| report("a listener".to_owned()));
        server.attach::<(Add, Hello)>(Arc::clone(&last)).unwrap();
        first.heard.store(10, Ordering::SeqCst);
        client.send(&hello("you")).unwrap();
        assert_eq!(heard.take(3).await, ["11: hello you of client 1", "a listener", "1: hello you of client 1"]);
        server.off(leaves);
        client.send(&hello("you")).unwrap();
        assert_eq!(heard.take(2).await, ["a listener", "2: hello you of client 1"]);
    }

    async fn a_method_that_panics_is_reported_and_the_others_hear() {
        let (_place, server, client) = connected().await;
        let (mut heard, mut errors) = (Events::new(), Events::new());
        server.attach::<(Hello, Add)>(Room::new(&heard)).unwrap();
        let report = heard.reporter();
        server.on::<Hello>(move |hello, _| report(hello.name));
        let report = errors.reporter();
        server.on_error(move |error| {
            let Error::ListenerPanicked { heard, client_id, .. } = error else { panic!("{error:?}") };
            report(format!("{heard} of {}", client_id.unwrap()));
        });
        client.send(&hello("panic")).unwrap();
        assert_eq!(heard.take(2).await, ["1: hello panic of client 1", "panic"]);
        assert_eq!(errors.next().await, "`hello` of 1");
        let error = sum(&client, 0, 3).await.unwrap_err();
        assert!(matches!(&error, RequestError::ResponderPanicked { topic } if topic == "add"), "{error:?}");
        assert_eq!(errors.next().await, "`add` of 1");
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5), "the connection lives, and the struct with it");
        assert_eq!(heard.take(2).await, ["2: add", "3: add"]);
    }

    async fn a_method_may_attach_and_remove_its_own_struct() {
        /// Greets once, and hands over to a room.
        struct Door {
            token: Mutex<Option<ListenerId>>,
            room: Arc<Room>,
        }
        impl Hears<Hello> for Door {
            fn hear(&self, _: Hello, context: Context<'_>) {
                let server = context.server();
                server.attach::<(Hello, Add)>(Arc::clone(&self.room)).unwrap();
                assert!(server.off(self.token.lock().unwrap().unwrap()));
            }
        }
        let (_place, server, client) = connected().await;
        let mut heard = Events::new();
        let room = Arc::new(Room::new(&heard));
        let door = Arc::new(Door { token: None.into(), room: Arc::clone(&room) });
        // Nobody says hello before the token is there: the client is this test.
        *door.token.lock().unwrap() = Some(server.attach::<(Hello,)>(Arc::clone(&door)).unwrap());
        client.send(&hello("you")).unwrap();
        client.send(&hello("you")).unwrap();
        assert_eq!(sum(&client, 2, 3).await.unwrap(), Sum(5));
        assert_eq!(heard.rest(), ["1: hello you of client 1", "2: add"]);
        assert!(Arc::into_inner(door).is_some(), "it has left");
    }

    async fn a_struct_goes_with_its_server_or_client() {
        /// Says when it is dropped.
        struct Guest(Report);
        impl Hears<Hello> for Guest {
            fn hear(&self, _: Hello, _: Context<'_>) {}
        }
        impl Hears<Hello, Client> for Guest {
            fn hear(&self, _: Hello, _: &ClientHandle) {}
        }
        impl Drop for Guest {
            fn drop(&mut self) {
                (self.0)("dropped".to_owned());
            }
        }
        let (_place, server, client) = connected().await;
        let mut dropped = Events::new();
        server.attach::<(Hello,)>(Guest(Box::new(dropped.reporter()))).unwrap();
        client.attach::<(Hello,)>(Guest(Box::new(dropped.reporter()))).unwrap();
        client.send(&hello("you")).unwrap();
        // Their methods hold a handle, of what would hold them: a cycle, if handles kept listeners alive.
        let kept = (server.handle(), client.handle());
        drop(client);
        dropped.next().await;
        drop(server);
        dropped.next().await;
        drop(kept);
    }

    async fn a_protocol_says_itself_what_there_is_to_hear() {
        let (place, mut heard) = (Place::new(), Events::new());
        let server = Both::server(place.socket()).request_timeout(LONG).build();
        let client = Both::client(place.socket()).request_timeout(LONG).build();
        let (room, view) = (Arc::new(Room::new(&heard)), Room::new(&heard));
        let token = server.attach(Arc::clone(&room)).unwrap();
        client.attach(view).unwrap();
        server.listen().await.unwrap();
        soon("a connection", client.connect()).await.unwrap();

        client.send(&Log { text: "lines" }).unwrap();
        client.send(&hello("you")).unwrap();
        assert_eq!(soon("the sum", client.request(&add(2, 3))).await.unwrap(), Sum(5));
        assert_eq!(heard.take(3).await, ["1: log lines", "2: hello you of client 1", "3: add"]);
        let id = server.clients()[0];
        assert_eq!(soon("the sum", server.request(&add(2, 3), id)).await.unwrap(), Sum(5));
        server.send(&hello("client"), id).unwrap();
        assert_eq!(heard.take(3).await, ["1: add", "2: hello client", "4: log client was here"]);

        // All or nothing, and one token, here too.
        server.attach(Room::new(&heard)).unwrap_err();
        client.send(&Log { text: "once" }).unwrap();
        assert_eq!(heard.next().await, "5: log once");
        assert!(server.off(token));
        client.send(&Log { text: "unheard" }).unwrap();
        let error = soon("the error reply", client.request(&add(2, 3))).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
        assert!(heard.rest().is_empty());
        assert_eq!(room.heard.load(Ordering::SeqCst), 5);
    }
}
