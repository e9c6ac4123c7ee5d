//! The `Topic` and `Protocol` derives of socket-ipc.
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
//! All that there is to know of them stands at [`Topic`](derive@Topic) and at [`Protocol`](derive@Protocol).

#![forbid(unsafe_code)]

mod keys;
mod mistakes;
mod protocol;
mod topic;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `Topic` for a struct or an enum: the topic its messages travel under, and what a listener
/// hears.
///
/// # The attribute
///
/// `#[topic = "hello"]` is all that most types need. The long form takes several keys, in any order:
///
/// | key | value | default |
/// |---|---|---|
/// | `name` | the topic, a string literal | none: it has to be given |
/// | `reply` | the type of the reply, bare or in a string | none: the topic is no request |
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
/// `crate` is for types whose crate knows the library by another name: through a re-export, say, or a renamed
/// dependency. A macro writes `crate = $crate::socket_ipc`.
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
/// With `reply` a topic is a request: it implements `Request` too, whose `Reply` is the type that replies to it, a
/// topic of its own.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use socket_ipc::{Request, Topic};
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = Sum)]
/// struct Add {
///     left: i64,
///     right: i64,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "sum"]
/// struct Sum(i64);
///
/// fn reply_of<Q: Request>() -> &'static str {
///     Q::Reply::NAME
/// }
///
/// assert_eq!(reply_of::<Add>(), "sum");
/// ```
///
/// Both are owned types: a responder may take longer than the buffer lives that the request arrived in, and
/// the requester keeps the reply. A lifetime on either is refused. Many requests may have the same reply, and a
/// generic request one that is made of its parameters: `reply = Found<T>`.
///
/// # Which names are allowed
///
/// A topic is not empty, has at most 256 bytes, and holds no control characters. Anything else is fine,
/// spaces and all of Unicode included. It has to be a plain string literal, so that the rules can be checked
/// here: a constant or `concat!` is refused.
///
/// # Which types are allowed
///
/// Structs and enums of every shape. Type parameters and constants stay as they are:
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
/// With one lifetime, a message borrows from the bytes it arrived in, and text is copied only where it holds escapes.
/// `Message<'m>` is the type with its lifetime replaced by `'m`, whatever the type calls it:
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
/// Without `#[serde(borrow)]` serde copies every text. A plain `&'a str` can be sent, but not received where the text
/// holds a quote, a line break or anything else that JSON escapes: there is nothing in the buffer to borrow. Such a
/// message is a message error that says so. The derive gives no warning of it, as it can't see which of the two a type
/// is for: the other derives are hidden from it, and for a type that is only sent `&'a str` is right.
///
/// A message exists for every lifetime, and that has four consequences for a type with one:
///
/// - `'a: 'static` is refused, and so is a second lifetime.
/// - A type parameter beside it must not borrow by itself: it needs `T: 'static`, inline or in the where
///   clause.
/// - As a type argument, such as `Batch<Log<'_>>`, it makes a topic that can be sent and not listened for: the lifetime
///   is not one of `Batch`. Give the outer type one of its own, `struct Batch<'a> { #[serde(borrow)] logs: Vec<Log<'a>> }`.
/// - A bound that names the lifetime, such as `T: Visit<'a>`, is asked of `T` for every lifetime, as if it
///   said `T: for<'a> Visit<'a>`.
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
/// All mistakes of a type are reported at once, each where it was made and with what to write instead:
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

/// Makes a protocol of a type: which topics travel to the server, and which to clients.
///
/// The type is only a name for them; no value of it is ever made. Its servers and clients listen for and send what
/// travels in their direction, and for anything else a program does not compile.
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
/// The keys come in any order. A direction may have no topics, but not both. A topic may travel both ways: it then
/// stands in both lists. `crate` is what it is for [`Topic`](derive@Topic).
///
/// # How is a topic named?
///
/// By its type, as a path. A type that borrows has `'_` for its lifetime, and its type arguments stand as they are:
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
/// `Add -> Sum` says that the request `Add` travels in this direction, and that its replies travel back. They do so
/// as replies only: a struct that receives all topics of the other direction needs no method for `Sum`. The arrow
/// says nothing that `#[topic(reply = …)]` does not, and is checked against it. A request may stand without one; its
/// reply then travels back only if it is a topic of the other direction, too.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::{Protocol, ToClient, Topic};
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic(name = "add", reply = Sum)]
/// struct Add {
///     left: i64,
///     right: i64,
/// }
///
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "sum"]
/// struct Sum(i64);
///
/// #[derive(Protocol)]
/// #[protocol(to_server(Add))]
/// struct Calculator;
///
/// fn travels_to_clients<P: ToClient<Sum>>() {}
///
/// travels_to_clients::<Calculator>();
/// ```
///
/// # Can two types have the same topic?
///
/// Not in one direction, replies included: a listener of the topic would not know which of the two it was. They are
/// refused, as is a type that stands twice in a list.
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
/// #[protocol(to_server(Hello, Goodbye))] // error: topic `hello` stands twice among those to the server in `Chat`
/// struct Chat;
/// ```
///
/// # Which types are allowed?
///
/// Structs and enums without generics; one without fields is all that it takes. Where it stands does not matter, a
/// crate that server and client share being the usual place.
///
/// # What does it implement?
///
/// `Protocol`, with the type's name; `ToServer<T>` and `ToClient<T>` for what travels; and for each direction with
/// topics `Attaches`, so that a struct with a method for each of them is attached in one call, and one that forgets a
/// topic does not compile:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use socket_ipc::{Hears, Protocol, ErrorReply, Context, Server, Topic};
///
/// # #[derive(Topic, Serialize, Deserialize)]
/// # #[topic(name = "add", reply = Sum)]
/// # struct Add { left: i64, right: i64 }
/// # #[derive(Topic, Serialize, Deserialize)]
/// # #[topic = "sum"]
/// # struct Sum(i64);
/// # #[derive(Topic, Serialize, Deserialize)]
/// # #[topic = "log"]
/// # struct Log<'m> { #[serde(borrow)] text: std::borrow::Cow<'m, str> }
/// #[derive(Protocol)]
/// #[protocol(to_server(Add, Log<'_>))]
/// struct Calculator;
///
/// struct Abacus;
///
/// impl Hears<Add, Server<Calculator>> for Abacus {
///     fn hear(&self, add: Add, _: Context<'_, Calculator>) -> Result<Sum, ErrorReply> {
///         Ok(Sum(add.left + add.right))
///     }
/// }
///
/// impl Hears<Log<'_>, Server<Calculator>> for Abacus {
///     fn hear(&self, log: Log<'_>, _: Context<'_, Calculator>) {
///         println!("{}", log.text);
///     }
/// }
///
/// let server = Calculator::server("/tmp/myApp.sock").build();
/// server.attach(Abacus)?;
/// # Ok::<(), socket_ipc::RegisterError>(())
/// ```
///
/// # Mistakes
///
/// All mistakes of the attribute are reported at once, each where it was made and with what to write instead:
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
