//! The `Topic` derive of socket-ipc.
//!
//! Depend on `socket-ipc`, which re-exports it beside the trait of the same name: `use socket_ipc::Topic`
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
//! All that there is to know of it stands at [`Topic`](derive@Topic).

#![forbid(unsafe_code)]

mod keys;
mod mistakes;
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
/// | `reply` | the type of the answer, bare or in a string | none: the topic is no question |
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
/// # Questions
///
/// With `reply` a topic is a question: it implements `Request` too, whose `Reply` is the type that answers it, a
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
/// fn answer_of<Q: Request>() -> &'static str {
///     Q::Reply::NAME
/// }
///
/// assert_eq!(answer_of::<Add>(), "sum");
/// ```
///
/// Both are owned types: whoever answers may take longer than the buffer lives that the question arrived in, and
/// whoever asked keeps the answer. A lifetime on either is refused. Many questions may have the same reply, and a
/// generic question one that is made of its parameters: `reply = Found<T>`.
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
/// With one lifetime, a message borrows from the bytes it arrived in, and nothing is copied. `Message<'m>` is
/// the type with its lifetime replaced by `'m`, whatever the type calls it:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use socket_ipc::Topic;
/// #[derive(Topic, Serialize, Deserialize)]
/// #[topic = "log"]
/// struct Log<'a> {
///     target: &'a str,
/// }
///
/// fn shorter<'m>(message: <Log<'static> as Topic>::Message<'m>) -> Log<'m> {
///     message
/// }
/// ```
///
/// A message exists for every lifetime, and that has three consequences for a type with one:
///
/// - `'a: 'static` is refused, and so is a second lifetime.
/// - A type parameter beside it must not borrow by itself: it needs `T: 'static`, inline or in the where
///   clause.
/// - A bound that names the lifetime, such as `T: Visit<'a>`, is asked of `T` for every lifetime, as if it
///   said `T: for<'a> Visit<'a>`.
///
/// ```
/// # use serde::Deserialize;
/// # use socket_ipc::Topic;
/// #[derive(Topic, Deserialize)]
/// #[topic = "tagged"]
/// struct Tagged<'a, T: 'static> {
///     tag: &'a str,
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
