//! Typed topics over Unix domain sockets: a server, its clients, and JSON lines that any language speaks.
//!
//! A message type names its topic once, with [`#[derive(Topic)]`](macro@Topic). Whoever listens for the type
//! hears it decoded; whoever sends a value of the type can't get the topic wrong. A type that is no topic, or
//! can't be decoded where it is heard, does not compile.
//!
//! ```text
//!        a process                                               other processes
//!  ┌───────────────────┐                                      ┌───────────────────┐
//!  │ Server            │            /tmp/myApp.sock           │ Client, any number│
//!  │  on::<Hello> ◀────┼─ {"topic":"hello","message":{..}}\n ─┼──── send(&Hello)  │
//!  │  send(&Greeting) ─┼─ {"topic":"greeting","message":..}\n ┼▶ on::<Greeting>   │
//!  │  broadcast(&News) ┼─ to every client ────────────────────┼▶ subscribe::<News>│
//!  │  outbox a client  │    bounded by bytes, on both sides   │  outbox           │
//!  └───────────────────┘                                      └───────────────────┘
//! ```
//!
//! # Quick start
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Client, Server, Topic};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello { name: String }
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "greeting"]
//! struct Greeting { text: String }
//!
//! # async fn one_process() -> Result<(), Box<dyn std::error::Error>> {
//! // one process
//! let server = Server::new("/tmp/myApp.sock");
//! let reply = server.handle();
//! server.on::<Hello>(move |msg, client_id| {
//!     let greeting = Greeting { text: format!("Hello, {}!", msg.name) };
//!     if let Err(error) = reply.send(&greeting, client_id) {
//!         eprintln!("{error}");
//!     }
//! });
//! server.listen().await?;
//! server.closed().await; // serve until somebody closes it
//! # Ok(()) }
//!
//! # async fn another_process() -> Result<(), Box<dyn std::error::Error>> {
//! // another process
//! let client = Client::new("/tmp/myApp.sock");
//! client.on::<Greeting>(|msg| println!("{}", msg.text));
//! client.connect().await?; // waits for the server as long as it takes
//! client.send(&Hello { name: "crussell52".into() })?;
//! client.closed().await; // listen until somebody closes it
//! # Ok(()) }
//! ```
//!
//! [`Server`] and [`Client`] are owners: dropping one ends it at once. Their handles, [`ServerHandle`] and
//! [`ClientHandle`], are for everybody else, listeners included; they have all the methods that attach
//! listeners, send and close.
//!
//! # Who hears a message, and in which order?
//!
//! First the listeners of every message ([`on_message`](ServerHandle::on_message)), then those of its topic:
//! typed ([`on`](ServerHandle::on)), asynchronous ([`on_async`](ServerHandle::on_async)), raw
//! ([`on_topic`](ServerHandle::on_topic)) and [`subscribe`](ServerHandle::subscribe), in the order they were
//! attached. The messages of one connection are heard one after the other, in the order they were sent;
//! different clients are served in parallel, as far as the runtime has threads.
//!
//! A listener that blocks its thread holds up whatever shares that thread, and more where tokio's other threads
//! are asleep: nobody notices what arrives until one is woken
//! ([tokio#4730](https://github.com/tokio-rs/tokio/issues/4730)). One that has to wait belongs in
//! `on_async`: what it returns is awaited before the next message of that connection is heard, and nobody
//! else waits for it.
//!
//! # Callbacks or loops?
//!
//! A listener ([`on`](ServerHandle::on), [`on_connection`](ServerHandle::on_connection) and the like) is called
//! where things happen: the shortest way for what is done at once, and the only one that keeps events and messages
//! of a connection in their order to each other. Where the work has to wait, [`on_async`](ServerHandle::on_async)
//! has that one connection wait with it. A loop over [`subscribe`](ServerHandle::subscribe) has state of its own
//! without a lock, and one place where everything comes together, with `tokio::select!` or the combinators of the
//! `futures` crate; a loop that does not keep up slows down whoever sends its topic, and loses nothing.
//! [`connections`](ServerHandle::connection_events) of a server and [`states`](ClientHandle::connection_events) of a client bring
//! who comes and goes into the same loop. They slow down nobody: what has no room is counted, and the count stands
//! where it is missing. Each stream is a queue of its own, so a loop over two may read a client's last message
//! after the event of its end; what must not, belongs in listeners. All of them go together, on the same server.
//!
//! ```no_run
//! # use socket_ipc::{ServerConnectionEvent, Server, Topic}; use serde::{Deserialize, Serialize};
//! # #[derive(Topic, Serialize, Deserialize)] #[topic = "vote"] struct Vote { choice: String }
//! # async fn example(server: Server) -> Result<(), Box<dyn std::error::Error>> {
//! let (mut connections, mut votes) = (server.connection_events(), server.subscribe::<Vote>());
//! server.listen().await?;
//! let mut count = std::collections::BTreeMap::<String, u32>::new();
//! loop {
//!     tokio::select! {
//!         Some((vote, _client_id)) = votes.next() => *count.entry(vote.choice).or_default() += 1,
//!         Some(event) = connections.next() => match event {
//!             ServerConnectionEvent::Opened(client_id) => {
//!                 if let Err(error) = server.send_raw("so far", &count, client_id) {
//!                     eprintln!("{error}");
//!                 }
//!             }
//!             other => println!("{other:?}"),
//!         },
//!         else => break, // both have ended: the server is closed
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # What happens when a client disappears?
//!
//! Its last messages are heard, then [`on_connection_close`](ServerHandle::on_connection_close) says who
//! ended the connection, why, and how many messages had been queued for it and not been sent. It does not
//! matter how the client went: closed, killed, reset. The other clients notice nothing. A message that was
//! not complete is not heard.
//!
//! When the server disappears, its clients say so by [`on_disconnect`](ClientHandle::on_disconnect), try
//! again after [`reconnect_delay`](ClientBuilder::reconnect_delay) and then every
//! [`retry_delay`](ClientBuilder::retry_delay), and keep their listeners. To the server a client that comes
//! back is a new one: it has another [`ClientId`].
//!
//! ```
//! # let (server, client) = (socket_ipc::Server::new("/tmp/myApp.sock"), socket_ipc::Client::new("/tmp/myApp.sock"));
//! server.on_connection_close(|client_id, reason| println!("client {client_id} is gone: {reason}"));
//! client.on_disconnect(|reason| println!("lost the server: {reason}"));
//! client.on_reconnect(|| println!("there it is again"));
//! ```
//!
//! # When is a message lost?
//!
//! Only with its connection. `Ok` of [`send`](ServerHandle::send) means *queued*; from there on a message is
//! delivered, in order and without a gap, or the connection ends. Then the reason says how much had not been
//! handed to the kernel. What had been, and was never read by the peer, nobody can count: who must know
//! that a message was heard has the peer say so.
//!
//! Without a connection nothing is queued: a send is an error then ([`SendError::NotConnected`],
//! [`SendError::UnknownClient`]). `close` writes what is queued, for as long as
//! [`drain`](ServerBuilder::drain) says; dropping a server or client writes nothing more, and warns of what is lost. A
//! `blocking::Client` that is dropped writes it first.
//!
//! ```no_run
//! # async fn example(client: socket_ipc::Client) -> Result<(), Box<dyn std::error::Error>> {
//! client.send_raw("farewell", &"so long")?;
//! client.flush().await?; // it has been handed to the kernel
//! client.close().await;  // and so has, without `flush`, all that was queued
//! # Ok(()) }
//! ```
//!
//! A message that arrives and is not what its topic promises is lost to the listeners that can't decode it:
//! each of them is one [`MessageError`], with the place of the mistake and the bytes. The connection lives
//! on.
//!
//! # How do I pace a fast sender?
//!
//! [`send`](ClientHandle::send) never waits. When more than [`outbox_len`](ClientBuilder::outbox_len) is
//! queued it is an error ([`SendError::OutboxFull`]), and [`broadcast`](ServerHandle::broadcast) ends the
//! connection of a client whose outbox is full. That suits programs that send little, and broadcasts that
//! must not wait for anybody. A program that sends much uses [`send_async`](ClientHandle::send_async) or
//! [`broadcast_async`](ServerHandle::broadcast_async): they wait while more than [`limits::OUTBOX_HIGH_WATER`] is
//! queued, so the sender goes as fast as the peer reads, and little memory is in use.
//!
//! ```no_run
//! # use socket_ipc::{Client, Topic}; use serde::{Deserialize, Serialize};
//! # #[derive(Topic, Serialize, Deserialize)] #[topic = "row"] struct Row(u64);
//! # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! for number in 0..1_000_000 {
//!     client.send_async(&Row(number)).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! A peer that takes nothing of what is queued for [`write_stall`](ServerBuilder::write_stall) is disconnected as
//! slow, and no client holds up [`broadcast_async`](ServerHandle::broadcast_async) for longer than that in all, however
//! it trickles. Two sides that both wait in listeners for the other to read stand still until then.
//!
//! # How do I grow a protocol?
//!
//! Servers and clients are seldom replaced at the same moment, so the new ones have to get on with the old. Fields are
//! read by name, and topics are told apart by theirs:
//!
//! | change | what comes of it |
//! |---|---|
//! | a field is added | Old peers ignore it. Those that leave it out are understood if it is an `Option`, or has `#[serde(default)]`. |
//! | a topic is added | Old peers don't listen for it: [`on_fallback`](ServerHandle::on_fallback) hears what nobody else takes. |
//! | a request is added | Requested of an old peer it fails at once, with [`RequestError::NoResponder`]: ask in the old way then. |
//! | a variant is added to an enum | Old peers take it for the one with `#[serde(other)]`, if the enum has `#[serde(tag = "…")]`. |
//! | a field goes, or its name or type changes, or it is added without a default | This breaks: a [`MessageError`] names the field, and a request fails with [`RequestError::RequestUndecodable`]. The connection lives. |
//!
//! What would break belongs in a new topic. `#[serde(deny_unknown_fields)]` makes every new field such a change.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::{Server, Topic};
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello {
//!     name: String,
//!     #[serde(default)]
//!     languages: Vec<String>, // since 1.1
//! }
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "mood"]
//! #[serde(tag = "is")]
//! enum Mood {
//!     Happy,
//!     Puzzled { by: String }, // since 1.2
//!     #[serde(other)]
//!     Other,                  // since ever
//! }
//!
//! let server = Server::new("/tmp/myApp.sock");
//! server.on::<Hello>(|msg, _client_id| println!("{} speaks {:?}", msg.name, msg.languages));
//! server.on_fallback(|message, topic, client_id| eprintln!("client {client_id} is newer: {topic} {message}"));
//! ```
//!
//! # How do I ask and have a reply?
//!
//! A request is a topic that names the type of its reply. [`request`](ClientHandle::request) sends it and returns a
//! future, an [`ReplyFuture`]; the peer replies by [`respond`](ServerHandle::respond), or
//! [`respond_async`](ServerHandle::respond_async) where that takes a while. Servers ask their clients the same way.
//!
//! ```
//! # use socket_ipc::{Client, RequestError, Server, Topic}; use serde::{Deserialize, Serialize};
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic(name = "add", reply = Sum)]
//! struct Add { left: i64, right: i64 }
//!
//! #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
//! #[topic = "sum"]
//! struct Sum(i64);
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = Server::new("in memory");
//! # let other_side = server.handle();
//! # let client = Client::builder("in memory")
//! #     .connector(move || {
//! #         let (ours, theirs) = tokio::io::duplex(64 * 1024);
//! #         let served = other_side.serve_connection(theirs).map_err(std::io::Error::other);
//! #         async move { served.map(|_client_id| ours) }
//! #     })
//! #     .build();
//! # client.connect().await?;
//! server.respond::<Add>(|Add { left, right }, _client_id| left.checked_add(right).map(Sum).ok_or("more than fits"))?;
//!
//! let (five, too_much) = (Add { left: 2, right: 3 }, Add { left: i64::MAX, right: 1 });
//! let replies = [client.request(&five), client.request(&too_much)]; // both are on their way
//! let [five, too_much] = replies;
//! assert_eq!(five.await?, Sum(5));
//! assert!(matches!(too_much.await, Err(RequestError::Rejected { text, .. }) if text == "more than fits"));
//! # Ok(()) }
//! ```
//!
//! Any number may be in flight, up to [`max_requests`](ClientBuilder::max_requests), and each reply finds its request
//! by number. A request fails by the name of what went wrong ([`RequestError`]), and at once: only a responder that
//! takes too long is waited for, until [`request_timeout`](ClientBuilder::request_timeout) or what
//! [`timeout`](ReplyFuture::within) says. A listener or responder that is asynchronous may itself ask, over its own connection
//! too: while it waits, other messages stay in line, and replies pass them by.
//!
//! # How do I have a whole protocol checked?
//!
//! [`#[derive(Protocol)]`](macro@Protocol) lists which topics travel to the server and which to clients. Its
//! [`server`](Protocol::server) and [`client`](Protocol::client) are those of every other program, but what travels in the
//! wrong direction, or not at all, does not compile. A struct that implements [`Hears`] for every topic is attached in one
//! call, and one that forgets a topic does not compile either. It is the form to choose for a program with more than a
//! few topics.
//!
//! ```
//! # use socket_ipc::{Client, Hears, Protocol, RegisterError, Context, Server, Topic}; use serde::{Deserialize, Serialize};
//! # #[derive(Topic, Serialize, Deserialize)] #[topic = "hello"] struct Hello { name: String }
//! # #[derive(Topic, Serialize, Deserialize)] #[topic = "greeting"] struct Greeting { text: String }
//! #[derive(Protocol)]
//! #[protocol(to_server(Hello), to_client(Greeting))]
//! struct Chat;
//!
//! struct Room { welcome: String }
//!
//! impl Hears<Hello, Server<Chat>> for Room {
//!     fn hear(&self, hello: Hello, context: Context<'_, Chat>) {
//!         if let Err(error) = context.send(&Greeting { text: format!("{}, {}!", self.welcome, hello.name) }) {
//!             eprintln!("{error}");
//!         }
//!     }
//! }
//!
//! let server = Chat::server("/tmp/myApp.sock").build();
//! server.attach(Room { welcome: "Hello".into() })?;
//! let client = Chat::client("/tmp/myApp.sock").build();
//! client.on::<Greeting>(|msg| println!("{}", msg.text));
//! # Ok::<(), RegisterError>(())
//! ```
//!
//! # How does a program tell what it speaks?
//!
//! A server that is built with [`describe`](ServerBuilder::describe) replies to a request about its topics, in any
//! language: [`description`] has the chapter.
//!
//! # How do I test my listeners?
//!
//! Join a server and a client in memory: [`serve_connection`](ServerHandle::serve_connection) on one side,
//! [`connector`](ClientBuilder::connector) on the other. No file is touched, and [paused
//! time](https://docs.rs/tokio/1/tokio/time/fn.pause.html) works, which it does not on a real socket.
//!
//! ```
//! # use socket_ipc::{Client, Server, Topic}; use serde::{Deserialize, Serialize};
//! # #[derive(Topic, Serialize, Deserialize)] #[topic = "request"] struct Request(u32);
//! # #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)] #[topic = "reply"] struct Answer(u32);
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new("in memory");
//! let reply = server.handle();
//! server.on::<Request>(move |Request(number), client_id| {
//!     reply.send(&ReplyFuture(2 * number), client_id).expect("the client is connected");
//! });
//!
//! let other_side = server.handle();
//! let client = Client::builder("in memory")
//!     .connector(move || {
//!         let (ours, theirs) = tokio::io::duplex(64 * 1024);
//!         let served = other_side.serve_connection(theirs).map_err(std::io::Error::other);
//!         async move { served.map(|_client_id| ours) }
//!     })
//!     .build();
//! let mut replies = client.subscribe::<Answer>();
//! client.connect().await?;
//! client.send(&Request(21))?;
//! assert_eq!(replies.next().await, Some(ReplyFuture(42)));
//! # Ok(()) }
//! ```
//!
//! # How do I talk to Node, Python, a shell?
//!
//! A message is one JSON object a line, so any language that has sockets and JSON will do. Programs that use
//! the Node library `@crussell52/socket-ipc` have an end of a message of their own, one for each of its
//! versions; [`Wire`] has them all.
//!
//! ```
//! # use socket_ipc::{Client, Wire};
//! let client = Client::builder("/tmp/nodeApp.sock").wire(Wire::NODE_0_4).build();
//! ```
//!
//! # How do I run it under systemd?
//!
//! Have systemd make the socket and pass it: then clients can connect before the server runs and while it restarts. The
//! repository has a pair of units and a server that goes with them (`examples/systemd`). The server takes what it was
//! passed, and makes its own where it runs by hand:
//!
//! ```no_run
//! # use socket_ipc::{Server, activated_listener};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = match activated_listener()? {
//!     Some(listener) => Server::from_listener(listener),
//!     None => Server::new("/run/myApp/myApp.sock"),
//! };
//! server.listen().await?;
//! # Ok(()) }
//! ```
//!
//! The socket file is systemd's then: its mode is `SocketMode` of the unit, and the server never removes it; when the file
//! goes, the server reports that and binds nothing. A unit with `Accept=yes` passes a connection instead of the socket, which
//! is an error. A program with several sockets takes them by name with [`activated_listeners`]. systemd ends
//! a service by SIGTERM: a program that [closes](ServerHandle::close) on it has written what was queued when it ends.
//!
//! # Who may connect?
//!
//! Whoever may write to the socket file and enter the directories above it. Its [`mode`](ServerBuilder::mode)
//! is 0600 from the moment it exists: only the user who runs the server, and the superuser. Beyond that,
//! [`allow_users`](ServerBuilder::allow_users) has the kernel say who is there, and refuses before a byte is
//! read, and [`allow_groups`](ServerBuilder::allow_groups) lets in the users of groups; [`peer`](ServerHandle::peer) tells a
//! listener. A client does the same with
//! [`expect_server_user`](ClientBuilder::expect_server_user), which matters where others may write to the
//! directory, as in `/tmp`.
//!
//! A mode protects from other users: not from other programs of the same user, nor from the superuser. Who
//! may write to the directory can remove the file and put another in its place, whatever its mode, unless the
//! directory has the sticky bit; so a socket belongs in a directory of its user, such as `$XDG_RUNTIME_DIR`.
//!
//! ```
//! # use socket_ipc::Server;
//! let server = Server::builder("/run/myApp/myApp.sock").mode(0o666).allow_users([0, 1000]).build();
//! ```
//!
//! For a group of users the file has their [`group`](ServerBuilder::group) and a mode of 0660; where the directory has the
//! setgid bit, files in it have its group by themselves:
//!
//! ```
//! # use socket_ipc::Server;
//! let server = Server::builder("/run/myApp/myApp.sock").mode(0o660).group("myapp").build();
//! ```
//!
//! # What if somebody removes the socket file?
//!
//! The server notices within two seconds, reports it by [`on_error`](ServerHandle::on_error), and binds the path again unless
//! something else is there: it displaces nothing. [`watch`](ServerBuilder::watch) sets how often it looks, or turns that off.
//! Clients that are connected notice nothing. A file whose mode, owner or links somebody changes is still the server's own.
//!
//! ```
//! # use socket_ipc::{Error, Server};
//! # let server = Server::new("/tmp/myApp.sock");
//! server.on_error(|error| match error {
//!     Error::SocketFileGone { path, found } => eprintln!("{} is gone, and {found} is there", path.display()),
//!     other => eprintln!("{other}"),
//! });
//! ```
//!
//! A child that is forked without `exec` may drop its copy of a server: the file and the lock stay the parent's. A program that
//! becomes a daemon by forking listens afterwards.
//!
//! # What about containers, `sudo` and files that are left over?
//!
//! - Into a container mount the directory of the socket, not the socket file: a mounted file is that one for ever, and after the
//!   next start of the server nobody listens on it.
//! - Numbers of users are those of the user namespace. A user that has none inside is 65534, and
//!   [`allow_users`](ServerBuilder::allow_users) with that number allows all of them. A process of another PID namespace has no
//!   [`pid`](Peer::pid).
//! - A server that was killed leaves its socket and its lock. A server of the same user reclaims them. One of another user does
//!   where only it can write to the directory, such as root in `/run/myApp`; elsewhere, as after a start with `sudo`,
//!   [`listen`](Server::listen) says whose they are and that they may be removed.
//! - In `/tmp` anybody can take the path before the server does: a client there needs
//!   [`expect_server_user`](ClientBuilder::expect_server_user). So it does where a group may write to the directory, as every
//!   member can put another server in the place of this one.
//!
//! # Which runtime?
//!
//! [tokio](https://docs.rs/tokio), current-thread or multi-thread, with I/O and time enabled. `listen`, `connect` and
//! `serve_connection` are called within it; sending, attaching listeners and closing work on any thread, with or without
//! a runtime.
//!
//! A server or client lives in the runtime in which that was called: its connections, its listeners and its deadlines. While
//! that runtime stands still, such as a current-thread one outside of `block_on`, nothing moves, and a request made from
//! another runtime is not even timed out.
//!
//! ```
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
//! ```
//!
//! A program without one, a script or a test, has a client whose calls wait, `socket_ipc::blocking::Client`, with the feature
//! `blocking`.
//!
//! # What if a listener panics?
//!
//! The panic is caught and reported by [`on_error`](ServerHandle::on_error); the other listeners of the
//! message still run, and the connection lives. The same goes for listeners of events and for a message's
//! `Serialize`, whose `send` returns an error. In a program built with `panic = "abort"` nothing can be
//! caught: any panic ends the process, as that setting asks for, and the clients notice that the server has
//! disappeared.
//!
//! ```
//! # let server = socket_ipc::Server::new("/tmp/myApp.sock");
//! server.on_error(|error| eprintln!("{error}"));
//! ```
//!
//! # How do I look after a running program?
//!
//! By metrics: [`stats`](ServerHandle::stats) has messages and bytes both ways and by topic, errors, connections, and what
//! is queued now and was at most. They are always on.
//!
//! ```
//! # let server = socket_ipc::Server::new("/tmp/myApp.sock");
//! let stats = server.stats();
//! println!("{} messages from {} clients", stats.received.messages, stats.open_connections);
//! ```
//!
//! And by traces, with any subscriber of [`tracing`](https://docs.rs/tracing). What happens is in the spans of whom it
//! concerns, listeners of yours included; without a subscriber all of it costs a comparison each.
//!
//! | span | level | fields |
//! |---|---|---|
//! | `server`, `client` | info | `path` |
//! | `connection` | debug | `client`; `user` and `process` of the peer, as the kernel tells them; on a client none |
//! | `request`, while a responder is at work | debug | `topic`; `id`, if it has one |
//!
//! | level | event |
//! |---|---|
//! | warn | what an event (`on_message_error`, `on_error`, `on_connect_error`, a connection that ended with a loss) would report and nobody listens for; a reply that can't be sent |
//! | debug | connections that end; messages and replies to that nobody waits for |
//!
//! # What is guaranteed, and which tests hold it?
//!
#![doc = include_str!("guarantees.md")]
//!
//! # How fast is it?
//!
//! Several times as fast as what one would write on tokio without it, and ten times as fast as the Node library:
//! [`how_fast`] has the metrics, the command that measures them, what costs what, and how to keep it fast.
//!
//! # What is bounded, and on which systems?
//!
//! Every message, queue, wait and number of clients: [`limits`] has all defaults in one table. Linux is what
//! is tested. The library also compiles for macOS and FreeBSD, where it has not been run, and on a system
//! that is no Unix it does not compile.

#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as socket_ipc;
#[cfg(not(unix))]
compile_error!(
    "socket-ipc speaks over Unix domain sockets: it compiles on Unix systems only, and is tested on Linux"
);

#[cfg(feature = "blocking")]
pub mod blocking;
mod client;
mod client_id;
mod connection;
pub mod description;
mod endpoint;
mod error;
mod events;
mod metrics;
/// How fast is it, and how to keep it so?
///
#[doc = include_str!("how_fast.md")]
#[cfg(doc)]
pub mod how_fast {}
pub mod limits;
mod listener;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod properties;
mod protocol;
mod router;
mod server;
mod sync;
mod topic;
mod unix_socket;
mod wire;

pub use client::{
    AsyncClientListener, AsyncClientResponder, Client, ClientBuilder, ClientConnectionEvent, ClientHandle,
    ClientResponder,
};
pub use client_id::ClientId;
pub use connection::{Closing, ReplyFuture};
pub use description::Description;
pub use error::error_reply::{ErrorReply, IntoReply};
pub use error::{
    ConnectError, Error, FlushError, ListenError, MessageError, MessageErrorKind, RegisterError,
    RequestError, SendError,
};
pub use events::stream::EventStream;
pub use events::{CloseCause, CloseReason};
pub use limits::delay::Delay;
pub use listener::ListenerId;
pub use metrics::stats::{Stats, TopicTraffic, Traffic};
pub use protocol::Protocol;
#[doc(hidden)]
pub use protocol::hears::Attaching;
pub use protocol::hears::{Attaches, Context, Endpoint, Hears};
#[doc(hidden)]
pub use protocol::{has_reply, stands_once};
pub use router::Subscription;
pub use server::{
    AsyncListener, AsyncResponder, Responder, Server, ServerBuilder, ServerConnectionEvent, ServerHandle,
};
pub use socket_ipc_derive::{Protocol, Topic};
#[doc(hidden)]
pub use topic::direction::Travels;
pub use topic::direction::{AnyTopic, ToClient, ToServer};
#[doc(hidden)]
pub use topic::reply_of;
pub use topic::{Exchange, Request, Topic};
pub use unix_socket::activation::{ActivatedListener, activated_listener, activated_listeners};
pub use unix_socket::group::Group;
pub use unix_socket::peer::Peer;
pub use wire::raw_message::RawMessage;
pub use wire::{EncodeError, Envelope, EnvelopeError, EnvelopeKind, RequestId, Wire, WireError};
