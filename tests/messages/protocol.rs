//! The messages that a protocol allows, over a real socket. What it rejects is in `tests/ui/protocol`.

use std::borrow::Cow;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Client, ClientContext, ClientHandle, ClientId, Context, MessageErrorKind, Protocol, RequestError,
    SendError, Server, ServerHandle, ToClient, Topic, Wire, handlers,
};
use support::{Events, Place, RawPeer, soon};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "hello"]
struct Hello {
    name: String,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "greeting"]
struct Greeting {
    text: String,
}

/// Sent both ways, and borrows both ways.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m> {
    level: u8,
    #[serde(borrow)]
    text: Cow<'m, str>,
    target: &'m str,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "how many", reply = Count)]
struct HowMany;

#[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
#[topic = "count"]
struct Count(usize);

#[derive(Protocol)]
#[protocol(to_server(Hello, Log<'_>, HowMany), to_client(Greeting, Log<'_>))]
struct Chat;

/// Has a method for every topic to a server of `Chat`.
struct Handlers<R> {
    greeted: AtomicUsize,
    report: R,
}

#[handlers(server = Chat)]
impl<R: Fn(String) + Send + Sync + 'static> Handlers<R> {
    fn hello(&self, msg: Hello, context: Context<'_, Chat>) {
        self.greeted.fetch_add(1, Ordering::SeqCst);
        context.send(&Greeting { text: format!("Hello, {}!", msg.name) }).unwrap();
    }

    fn log(&self, msg: Log<'_>) {
        (self.report)(format!("server: {}", msg.text));
    }

    fn how_many(&self, _: HowMany) -> Count {
        Count(self.greeted.load(Ordering::SeqCst))
    }
}

/// Has a method for every topic to a client. `Count` is only a reply, and needs none.
struct Guest;

#[handlers(client = Chat)]
impl Guest {
    fn greeting(&self, msg: Greeting, context: ClientContext<'_, Chat>) {
        context.send(&Log { level: 1, text: Cow::Borrowed(&msg.text), target: "guest" }).unwrap();
    }

    fn log(&self, _: Log<'_>) {}
}

fn hello(name: &str) -> Hello {
    Hello { name: name.into() }
}

/// Listens and connects. Both ends have their listeners already.
async fn connected(server: &Server<Chat>, client: &Client<Chat>) -> ClientId {
    server.listen().await.unwrap();
    let mut connections = Events::new();
    server.on_connection(connections.reporter());
    soon("a connection", client.connect()).await.unwrap();
    connections.next().await
}

/// Sends a greeting. The type of the handle allows it.
fn greet(server: &ServerHandle<Chat>, name: &str, client_id: ClientId) -> Result<(), SendError> {
    server.send(&Greeting { text: format!("Hello, {name}!") }, client_id)
}

support::both_flavours! {
    async fn typed_message_is_sent_both_ways() {
        let (place, mut greetings) = (Place::new(), Events::new());
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let reply: ServerHandle<Chat> = server.handle();
        server.on::<Hello>(move |msg, client_id| greet(&reply, &msg.name, client_id).unwrap());
        let report = greetings.reporter();
        client.on::<Greeting>(move |msg| report(msg.text));
        connected(&server, &client).await;

        client.send(&hello("crussell52")).unwrap();
        assert_eq!(greetings.next().await, "Hello, crussell52!");
        client.send_async(&hello("again")).await.unwrap();
        assert_eq!(greetings.next().await, "Hello, again!");
        assert_eq!(server.broadcast(&Greeting { text: "all".into() }).unwrap(), 1);
        assert_eq!(greetings.next().await, "all");
        assert_eq!(server.broadcast_async(&Greeting { text: "all, later".into() }).await.unwrap(), 1);
        assert_eq!(greetings.next().await, "all, later");
    }

    async fn borrowing_topic_is_sent_both_ways() {
        let (place, mut logs) = (Place::new(), Events::new());
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let echo = server.handle();
        // The reply borrows from the message, which borrows from the bytes that arrived.
        server.on::<Log>(move |msg, client_id| {
            let text = format!("{}!", msg.text);
            echo.send(&Log { level: msg.level + 1, text: Cow::Borrowed(&text), target: msg.target }, client_id).unwrap();
        });
        let report = logs.reporter();
        client.on::<Log>(move |msg| report((msg.level, msg.text.into_owned(), msg.target.to_owned())));
        connected(&server, &client).await;

        let (text, target) = (String::from("text"), String::from("here"));
        client.send(&Log { level: 1, text: Cow::Borrowed(&text), target: &target }).unwrap();
        assert_eq!(logs.next().await, (2, "text!".to_owned(), "here".to_owned()));
    }

    async fn handle_inside_listener_registers_and_sends_topics_of_protocol() {
        let (place, mut events) = (Place::new(), Events::new());
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let (inside, report) = (server.handle(), events.reporter());
        server.on_async::<Hello>(move |msg, client_id| {
            let (inside, report) = (inside.clone(), report.clone());
            async move {
                let later = inside.clone();
                inside.on::<Log>(move |msg, _| {
                    report(format!("server: {}", msg.text));
                    drop(later.close());
                });
                greet(&inside, &msg.name, client_id).unwrap();
            }
        });
        let (inside, report): (ClientHandle<Chat>, _) = (client.handle(), events.reporter());
        client.on::<Greeting>(move |msg| {
            report(format!("client: {}", msg.text));
            inside.send(&Log { level: 1, text: "log".into(), target: "here" }).unwrap();
        });
        connected(&server, &client).await;

        client.send(&hello("you")).unwrap();
        assert_eq!(events.take(2).await, ["client: Hello, you!", "server: log"]);
        soon("the server's end", server.closed()).await;
    }

    async fn attach_struct_of_all_topics_registers_them_in_one_call() {
        let (place, mut received) = (Place::new(), Events::new());
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let handlers = server.attach(Handlers { greeted: AtomicUsize::new(0), report: received.reporter() }).unwrap();
        client.attach(Guest).unwrap();
        connected(&server, &client).await;

        client.send(&hello("you")).unwrap();
        assert_eq!(received.next().await, "server: Hello, you!");
        assert_eq!(soon("the reply", client.request(&HowMany)).await.unwrap(), Count(1));
        assert!(server.off(handlers));
        let error = soon("the error", client.request(&HowMany)).await.unwrap_err();
        assert!(matches!(error, RequestError::NoResponder { .. }), "{error:?}");
    }

    async fn subscribe_topic_of_protocol_yields_its_messages() {
        let place = Place::new();
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let (mut hellos, mut greetings) = (server.subscribe::<Hello>(), client.subscribe::<Greeting>());
        let client_id = connected(&server, &client).await;

        client.send(&hello("you")).unwrap();
        let (msg, from) = soon("the message", hellos.next()).await.unwrap();
        assert_eq!((msg.name.as_str(), from), ("you", client_id));
        greet(&server, &msg.name, from).unwrap();
        assert_eq!(soon("the greeting", greetings.next()).await.unwrap().text, "Hello, you!");
    }

    async fn raw_listener_and_raw_send_accept_topics_outside_protocol() {
        let (place, mut events) = (Place::new(), Events::new());
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let (every, topic) = (events.reporter(), events.reporter());
        server.on_message(move |message, name, _| every(format!("server: {name} {message}")));
        server.on_topic("greeting", move |message, _| topic(format!("greeting: {message}")));
        let (every, topic) = (events.reporter(), events.reporter());
        client.on_message(move |message, name| every(format!("client: {name} {message}")));
        client.on_topic("other", move |message| topic(format!("other: {message}")));
        let client_id = connected(&server, &client).await;

        client.send_raw("greeting", &1).unwrap();
        assert_eq!(events.take(2).await, ["server: greeting 1", "greeting: 1"]);
        server.send_raw("other", &2, client_id).unwrap();
        assert_eq!(events.take(2).await, ["client: other 2", "other: 2"]);
        assert_eq!(server.broadcast_raw("hello", &3).unwrap(), 1);
        assert_eq!(events.next().await, "client: hello 3");
    }

    async fn peer_without_protocol_is_served() {
        let (place, mut events) = (Place::new(), Events::new());
        let server = Chat::server(place.socket()).build();
        let report = events.reporter();
        server.on::<Hello>(move |msg, _| report(msg.name));
        let report = events.reporter();
        server.on_message_error(move |error, _| {
            assert!(matches!(error.kind(), MessageErrorKind::Decode { .. }), "{error}");
            report("a message error".to_owned());
        });
        server.listen().await.unwrap();
        let mut peer = RawPeer::connect(place.socket()).await;
        peer.write("{\"topic\":\"hello\",\"message\":5}\n{\"topic\":\"hello\",\"message\":{\"name\":\"nc\"}}\n").await;
        assert_eq!(events.take(2).await, ["a message error", "nc"]);
        assert_eq!(server.broadcast(&Greeting { text: "hi".into() }).unwrap(), 1);
        assert_eq!(peer.line().await, r#"{"topic":"greeting","message":{"text":"hi"}}"#);
    }

    async fn server_and_client_of_protocol_take_all_options() {
        let (place, mut received) = (Place::new(), Events::new());
        let server = Chat::server(place.socket()).wire(Wire::NODE_0_4).mode(0o640).max_clients(1).max_message_len(100).build();
        let client = Chat::client(place.socket()).wire(Wire::NODE_0_4).retry_delay(Duration::from_millis(1)).build();
        let report = received.reporter();
        server.on::<Hello>(move |msg, _| report(msg.name));
        connected(&server, &client).await;

        let mode = std::fs::metadata(place.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        client.send(&hello("node")).unwrap();
        assert_eq!(received.next().await, "node");
        let too_large = server.broadcast(&Greeting { text: "x".repeat(100) });
        assert!(matches!(too_large, Err(SendError::TooLarge { .. })), "{too_large:?}");
        assert_eq!(RawPeer::connect(place.socket()).await.closed().await, b"");
    }

    async fn generic_function_accepts_every_protocol_with_its_topic() {
        fn goodbye<P: ToClient<Greeting>>(server: &ServerHandle<P>) -> usize {
            server.broadcast(&Greeting { text: "bye".into() }).unwrap()
        }
        let (place, mut greetings) = (Place::new(), Events::new());
        let (server, client) = (Chat::server(place.socket()).build(), Chat::client(place.socket()).build());
        let report = greetings.reporter();
        client.on::<Greeting>(move |msg| report(msg.text));
        connected(&server, &client).await;
        assert_eq!(goodbye(&server), 1);
        assert_eq!(greetings.next().await, "bye");
        assert_eq!(goodbye(&Server::new(place.socket())), 0);
    }
}
