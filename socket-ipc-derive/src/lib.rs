//! The macros of socket-ipc: the derives `Topic`, `TopicSet` and `Protocol`, and the attribute `handlers`.
//!
//! Depend on `socket-ipc`, which re-exports each beside the trait of the same name: `use socket_ipc::Topic`
//! brings both.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use socket_ipc::Topic;
//!
//! #[derive(Topic, Serialize, Deserialize)]
//! #[topic = "hello"]
//! struct Hello {
//!     name: String,
//! }
//!
//! assert_eq!(Hello::NAME, "hello");
//! ```
//!
//! [`Topic`](derive@Topic), [`TopicSet`](derive@TopicSet), [`Protocol`](derive@Protocol) and
//! [`handlers`](macro@handlers) have the reference of each.

#![forbid(unsafe_code)]

mod handlers;
mod keys;
mod mistakes;
mod protocol;
mod topic;
mod topic_set;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Topic` for a struct or an enum: the topic that its messages travel under, and the type that a listener
/// receives.
///
/// # The attribute
///
/// `#[topic = "hello"]` is enough for most types. The long form takes several keys, in any order:
///
/// | key | value | default |
/// |---|---|---|
/// | `name` | the topic, a string literal | none: it is required |
/// | `reply` | the type of the reply, bare or in a string | none: the topic is no request |
/// | `stream` | the type of the items, bare or in a string | none: the topic is no request of a stream |
/// | `error` | the type that responders fail with, bare or in a string | `ErrorReply` |
/// | `reply_topic` | the topic that replies travel under, a string literal | that of the request |
/// | `no_cancel` | no value: responders run on when the requester gives up | they are cancelled |
/// | `crate` | the path of the library, in a string or bare | `::socket_ipc` |
///
/// ```
/// # use socket_ipc::Topic;
/// #[derive(Topic)]
/// #[topic(name = "goodbye")]
/// struct Goodbye;
///
/// assert_eq!(Goodbye::NAME, "goodbye");
/// ```
///
/// `crate` is for a type whose crate reaches the library by another path, such as a re-export or a renamed dependency.
/// A macro writes `crate = $crate::socket_ipc`.
///
/// ```
/// mod framework {
///     pub use socket_ipc as ipc;
/// }
///
/// #[derive(framework::ipc::Topic)]
/// #[topic(name = "hello", crate = "framework::ipc")]
/// struct Hello;
/// ```
///
/// # Requests
///
/// With `reply` a topic is a request: the type implements `Request`, too. The reply is of any type that serde writes and
/// reads, and needs no topic: it travels under that of the request. With `error` a responder fails with that type, which
/// the requester gets back. Without, it fails with an `ErrorReply`, into which any error converts that can be displayed.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use socket_ipc::{Request, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "submit", reply = Submitted, error = SubmitError)]
/// struct Submit {
///     command: String,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Submitted {
///     id: u64,
/// }
///
/// #[derive(Serialize, Deserialize, Debug)]
/// enum SubmitError {
///     QueueFull { max: usize },
/// }
///
/// fn replies_with<Q: Request<Reply = Submitted, Error = SubmitError>>() {}
///
/// replies_with::<Submit>();
/// ```
///
/// The request, its reply and its error are owned types, without lifetimes. A responder may still run when the buffer
/// that the request arrived in is gone, and the requester keeps the reply. The reply of a generic request may use its
/// parameters: `reply = Found<T>`. `error` needs `reply` or `stream`; `reply_topic` and `no_cancel` need `reply`.
///
/// With `stream` in place of `reply` a topic is the request of a stream: the type implements `StreamRequest`, too, and its
/// items are of any such type.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use socket_ipc::{StreamRequest, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "follow", stream = String)]
/// struct Follow {
///     job: u64,
/// }
///
/// fn streams<Q: StreamRequest<Item = String>>() {}
///
/// streams::<Follow>();
/// ```
///
/// `reply_topic = "sum"` is for programs that request without an `id`, such as those of the Node library: they are
/// replied to by a message of that topic, and otherwise not at all.
///
/// # Which names are allowed
///
/// A topic is not empty, has at most 256 bytes, and holds no control characters. All other characters are allowed, also
/// spaces and all of Unicode. The name must be a plain string literal, so that the derive can check these rules. A
/// constant or `concat!` does not compile.
///
/// # Which types are allowed
///
/// Structs and enums of every shape, with type parameters and constants:
///
/// ```
/// # use socket_ipc::Topic;
/// #[derive(Topic)]
/// #[topic = "samples"]
/// struct Samples<T: Default, const N: usize> {
///     values: [T; N],
/// }
///
/// assert_eq!(Samples::<f32, 4>::NAME, "samples");
/// ```
///
/// A type with one lifetime borrows from the bytes that the message arrived in; text is copied only if it holds
/// escapes. `Message<'m>` is the type with its lifetime replaced by `'m`:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::Topic;
/// use std::borrow::Cow;
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "log"]
/// struct Log<'a> {
///     #[serde(borrow)]
///     target: Cow<'a, str>,
/// }
///
/// fn shorter<'m>(message: <Log<'static> as Topic>::Message<'m>) -> Log<'m> {
///     message
/// }
/// ```
///
/// Without `#[serde(borrow)]` serde copies every `Cow`. A plain `&'a str` can be sent, but it can't be received if the
/// text holds a quote, a line break or anything else that JSON escapes: the unescaped text is nowhere in the buffer.
/// Such a message is a message error that says so. The derive gives no warning, because it can't see whether a type is
/// received or only sent, and for a type that is only sent `&'a str` is right.
///
/// A message exists for every lifetime. That has four consequences for a type with a lifetime:
///
/// - `'a: 'static` and a second lifetime do not compile.
/// - A type parameter beside the lifetime must not borrow: it needs `T: 'static`, inline or in the where clause.
/// - A topic such as `Batch<Log<'_>>`, with the lifetime inside a type argument, can be sent but not listened for: the
///   lifetime does not belong to `Batch`. Give the outer type a lifetime of its own,
///   `struct Batch<'a> { #[serde(borrow)] logs: Vec<Log<'a>> }`.
/// - A bound that names the lifetime, such as `T: Visit<'a>`, must hold for every lifetime, as if it were
///   `T: for<'a> Visit<'a>`.
///
/// ```
/// # use serde::Deserialize;
/// # use socket_ipc::Topic;
/// # use std::borrow::Cow;
/// #[derive(Topic, Deserialize)]
/// #[topic = "tagged"]
/// struct Tagged<'a, T: 'static> {
///     #[serde(borrow)]
///     tag: Cow<'a, str>,
///     value: T,
/// }
/// ```
///
/// # Mistakes
///
/// All mistakes of a type are reported at once, each at its place and with the text to write instead:
///
/// ```compile_fail
/// # use socket_ipc::Topic;
/// #[derive(Topic)]
/// struct Hello; // error: missing topic name: add `#[topic = "…"]` above `Hello`
/// ```
#[proc_macro_derive(Topic, attributes(topic))]
pub fn derive_topic(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    topic::topic(&input).into()
}

/// Implements `Protocol` for a type: which topics travel to the server, and which to clients.
///
/// The type is only the name of the protocol; a program makes no value of it. A server or client of the protocol
/// listens for and sends the topics of the right direction. A program that uses another topic does not compile.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Protocol, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello {
///     name: String,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "greeting"]
/// struct Greeting {
///     text: String,
/// }
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Hello), to_client(Greeting))]
/// struct Chat;
///
/// let server = Chat::server("/tmp/myApp.sock").build();
/// server.on::<Hello>(|msg, client_id| println!("client {client_id} is {}", msg.name));
///
/// let client = Chat::client("/tmp/myApp.sock").build();
/// client.on::<Greeting>(|msg| println!("{}", msg.text));
/// ```
///
/// # The attribute
///
/// | key | value | default |
/// |---|---|---|
/// | `to_server(…)` | the topics that travel from clients to the server | none |
/// | `to_client(…)` | the topics that travel from the server to clients | none |
/// | `crate` | the path of the library, in a string or bare | `::socket_ipc` |
///
/// The keys come in any order. One direction may have no topics, but not both. A topic that travels both ways is in
/// both lists. `crate` has the same meaning as for [`Topic`](derive@Topic).
///
/// # How is a topic named?
///
/// By the path of its type. A type that borrows has `'_` as its lifetime; type arguments are written out:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic};
/// # use std::borrow::Cow;
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "log"]
/// struct Log<'m> {
///     #[serde(borrow)]
///     text: Cow<'m, str>,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "samples"]
/// struct Samples<T>(Vec<T>);
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Log<'_>, Samples<f32>))]
/// struct Telemetry;
///
/// let server = Telemetry::server("/tmp/myApp.sock").build();
/// server.on::<Log>(|msg, _client_id| println!("{}", msg.text));
/// ```
///
/// # How does a reply travel?
///
/// It is part of its request: a protocol lists the request, and its replies and errors travel back. They need no topics.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use socket_ipc::{Protocol, RegisterError, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = i64)]
/// struct Add {
///     left: i64,
///     right: i64,
/// }
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Add))]
/// struct Calculator;
///
/// let server = Calculator::server("/tmp/myApp.sock").build();
/// server.respond::<Add>(|add, _client_id| add.left + add.right)?;
/// # Ok::<(), RegisterError>(())
/// ```
///
/// # Can two types have the same topic?
///
/// Not in one direction: a listener of the topic could not tell the two types apart. Such a protocol
/// does not compile, nor does one that lists a type twice.
///
/// ```compile_fail
/// # use socket_ipc::{Protocol, Topic};
/// #[derive(Topic)]
/// #[topic = "hello"]
/// struct Hello;
///
/// #[derive(Topic)]
/// #[topic = "hello"]
/// struct Goodbye;
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Hello, Goodbye))]
/// // error: two types that travel to the server in `Chat` have the topic `hello`
/// struct Chat;
/// ```
///
/// # Which types are allowed?
///
/// Structs and enums without generics; a struct without fields is enough. The usual place is a crate that server and
/// client share.
///
/// # What does it implement?
///
/// `Protocol`, with the name of the type, and `ToServer<T>` and `ToClient<T>` for the topics of each direction. So a struct
/// with [handlers](macro@handlers) for all of them is attached in one call, and one that lacks a handler does not compile.
///
/// # Mistakes
///
/// All mistakes of the attribute are reported at once, each at its place and with the text to write instead:
///
/// ```compile_fail
/// # use socket_ipc::Protocol;
/// #[derive(Protocol)]
/// struct Chat; // error: missing topics: add `#[protocol(to_server(…), to_client(…))]` above `Chat`
/// ```
#[proc_macro_derive(Protocol, attributes(protocol))]
pub fn derive_protocol(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    protocol::protocol(&input).into()
}

/// Makes the methods of a struct the handlers of their topics: listeners, responders and streams, asynchronous or not.
///
/// Every method of the block is a handler. Its second argument is the message, whose type names the topic; the third one,
/// which may be left out, is the context. One call of `attach` attaches all of them.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Context, Protocol, RegisterError, Topic, handlers};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "hello"]
/// struct Hello {
///     name: String,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "greeting"]
/// struct Greeting {
///     text: String,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "load", reply = String)]
/// struct Load {
///     path: String,
/// }
///
/// # mod storage { pub async fn load(path: String) -> std::io::Result<String> { std::fs::read_to_string(path) } }
/// #[derive(Protocol)]
/// #[protocol(to_server(Hello, Load), to_client(Greeting))]
/// struct Chat;
///
/// struct Desk {
///     welcome: String,
/// }
///
/// #[handlers(server = Chat)]
/// impl Desk {
///     fn hello(&self, hello: Hello, context: Context<'_, Chat>) {
///         let greeting = Greeting { text: format!("{}, {}!", self.welcome, hello.name) };
///         if let Err(error) = context.send(&greeting) {
///             eprintln!("{error}");
///         }
///     }
///
///     async fn load(&self, load: Load) -> Result<String, std::io::Error> {
///         storage::load(load.path).await
///     }
/// }
///
/// let server = Chat::server("/tmp/myApp.sock").build();
/// server.attach(Desk { welcome: "Hello".into() })?;
/// # Ok::<(), RegisterError>(())
/// ```
///
/// # The attribute
///
/// | attribute | the endpoint of the methods |
/// |---|---|
/// | `#[handlers]`, `#[handlers(server)]` | a server without a protocol |
/// | `#[handlers(server = Chat)]` | a server of the protocol `Chat` |
/// | `#[handlers(client)]`, `#[handlers(client = Chat)]` | a client |
/// | `#[handlers(.., crate = "my_crate::socket_ipc")]` | the path of the library, `::socket_ipc` unless given |
///
/// A struct for several endpoints has a block for each.
///
/// # What is a handler?
///
/// | method | what it becomes |
/// |---|---|
/// | `fn note(&self, note: Note)` | a listener |
/// | `async fn note(&self, note: Note)` | an asynchronous listener, as of `on_async` |
/// | `fn add(&self, add: Add) -> i64` | a responder, where `Add` is a request: it returns the reply or a `Result` of it |
/// | `async fn add(&self, add: Add) -> Result<i64, AddError>` | an asynchronous responder, as of `respond_async` |
/// | `fn notes(&self, notes: Notes) -> impl Stream<Item = String>` | a responder whose reply is a stream, which may borrow `self` |
///
/// The third argument is `Context<'_, Chat>` on a server and `ClientContext<'_, Chat>` on a client. An asynchronous method
/// may take a `Context<'static, Chat>`. The message of a method that is not asynchronous may borrow: `log: Log<'_>`.
///
/// Methods are called from several threads. So they take `&self`, and a field that changes is in a mutex, or an atomic.
/// Functions that are no handlers belong in another `impl` block. The struct may be generic, with a `where` clause.
///
/// # What does it implement?
///
/// `Handles` for each topic, which can be written by hand, too. The block itself stays as it is.
///
/// # Mistakes
///
/// A method that can be no handler does not compile, and the error says why:
///
/// ```compile_fail
/// # use socket_ipc::handlers;
/// struct Desk;
///
/// #[handlers]
/// impl Desk {
///     fn new() -> Self { // error: a handler takes `&self`: move `new` into another `impl` block
///         Desk
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn handlers(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handlers::handlers(attribute.into(), item.into()).into()
}

/// Implements `TopicSet` for an enum with a variant for each of several topics: what `subscribe` and `events` take, to
/// return the messages of all of them in the order in which they were sent.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use socket_ipc::{Client, Topic, TopicSet};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "news"]
/// struct News {
///     text: String,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "job event"]
/// struct JobEvent {
///     job: u64,
/// }
///
/// #[derive(TopicSet)]
/// enum FromServer {
///     News(News),
///     JobEvent(JobEvent),
/// }
///
/// let client = Client::new("/tmp/myApp.sock");
/// let messages = client.subscribe::<FromServer>();
/// ```
///
/// # Which types are allowed?
///
/// Enums without generics, whose variants hold one topic each, as `News(News)`. The topics are owned types: a
/// subscription keeps messages after the buffer that they arrived in is gone.
///
/// # Can two variants have the same topic?
///
/// No: a message of the topic could be either. Such an enum does not compile.
///
/// # How does it go together with a protocol?
///
/// A set says nothing of directions. Where it is used on a server or a client of a protocol, each of its topics has to
/// travel there, or the program does not compile:
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, Topic, TopicSet};
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "news"] struct News;
/// # #[derive(Topic, Serialize, Deserialize)] #[topic = "submit"] struct Submit;
/// #[derive(Protocol)]
/// #[protocol(to_server(Submit), to_client(News))]
/// struct Jobs;
///
/// #[derive(TopicSet)]
/// enum FromServer {
///     News(News),
///     Submit(Submit),
/// }
///
/// let client = Jobs::client("/tmp/myApp.sock").build();
/// client.subscribe::<FromServer>(); // error: `Submit` never travels from server to client in `Jobs`
/// ```
///
/// # The attribute
///
/// There is none, unless the library is reached by another path: `#[topic_set(crate = "…")]`, as for
/// [`Topic`](derive@Topic).
#[proc_macro_derive(TopicSet, attributes(topic_set))]
pub fn derive_topic_set(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    topic_set::topic_set(&input).into()
}
