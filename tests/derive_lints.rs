//! The code that the derives write raises no lint, however many lints are on.

#![deny(warnings, missing_docs)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery, clippy::cargo)]
#![deny(clippy::absolute_paths, clippy::allow_attributes, clippy::default_numeric_fallback)]
#![deny(clippy::missing_trait_methods, clippy::renamed_function_params, clippy::same_name_method)]
#![deny(clippy::single_char_lifetime_names, clippy::std_instead_of_core, clippy::str_to_string)]
#![deny(future_incompatible, let_underscore, nonstandard_style, rust_2018_idioms, rust_2021_compatibility)]
#![deny(rust_2024_compatibility, unused)]
#![deny(
    ambiguous_negative_literals,
    deprecated_in_future,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    meta_variable_misuse,
    missing_abi,
    non_ascii_idents,
    redundant_imports,
    redundant_lifetimes,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unit_bindings,
    unnameable_types,
    unreachable_pub,
    unused_crate_dependencies,
    unused_extern_crates,
    unused_import_braces,
    unused_lifetimes,
    unused_macro_rules,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]
// These concern this file, not the code that the derives write.
#![allow(unused_crate_dependencies, clippy::cargo, clippy::redundant_pub_crate)]
// A handler owns its message and its context.
#![allow(clippy::needless_pass_by_value)]
// The types here have ordinary lifetime names.
#![allow(clippy::single_char_lifetime_names)]

use core::fmt::Display;
use core::num::ParseIntError;

use serde::{Deserialize, Serialize};
use socket_ipc::{ClientContext, Context, Protocol, Topic, TopicSet, handlers};

/// A struct with fields.
#[derive(Topic, Debug)]
#[topic = "named"]
pub struct Named {
    /// A field.
    pub text: String,
}

/// A unit, by the long form, its name in more hashes than it needs.
#[derive(Topic, Debug)]
#[topic(name = r#"unit"#)]
pub struct Unit;

/// An enum that borrows.
#[derive(Topic, Debug)]
#[topic = "borrowed"]
pub enum Borrowed<'a> {
    /// A variant.
    Text(&'a str),
}

/// Everything at once, the bounds inline.
#[derive(Topic, Debug)]
#[topic = "inline"]
pub struct Inline<'m, T: 'static + Display + AsRef<[u8; N]>, const N: usize>(pub &'m T, pub [u8; N]);

/// Everything at once, the bounds in a clause.
#[derive(Topic, Debug)]
#[topic = "clause"]
pub struct Clause<'m, T, U = &'static str>(pub &'m T, pub U)
where
    T: 'static + PartialEq<&'m str> + Display,
    &'m T: Display,
    U: 'static + for<'x> PartialEq<&'x [&'m str]>;

/// A type parameter that need not be sized.
#[derive(Topic, Debug)]
#[topic = "unsized"]
pub struct Unsized<T: ?Sized + 'static>(pub Box<T>);

/// The path of the library, needlessly long.
#[derive(Topic, Debug)]
#[topic(name = "path", crate = "::socket_ipc")]
pub struct Path;

mod reexport {
    pub(crate) use socket_ipc::{Exchange, Topic, kind};
}

/// The same by paths of this crate: the trait is in scope without them.
#[derive(Topic, Debug)]
#[topic(name = "string", crate = "self::reexport")]
pub struct InString<'a>(pub &'a str);

/// And bare.
#[derive(Topic, Debug)]
#[topic(name = "bare", crate = crate::reexport)]
pub struct Bare;

/// A request.
#[derive(Topic, Debug)]
#[topic(name = "request", reply = Unit)]
pub struct Request;

/// A request that is generic, and its reply in a string.
#[derive(Topic, Debug)]
#[topic(name = "generic request", reply = "Unsized<T>")]
pub struct GenericRequest<T: ?Sized + 'static>(pub Box<T>);

/// A stream.
#[derive(Topic, Debug)]
#[topic(name = "stream", stream = Unit)]
pub struct Stream;

/// A stream that is generic, with an error of its own.
#[derive(Topic, Debug)]
#[topic(name = "generic stream", stream = "Unsized<T>", error = Unit)]
pub struct GenericStream<T: ?Sized + 'static>(pub Box<T>);

/// A topic that can be decoded.
#[derive(Topic, Debug, serde::Deserialize)]
#[topic = "decoded"]
pub struct Decoded {
    /// A field.
    pub text: String,
}

/// A set of topics.
#[derive(TopicSet, Debug)]
pub enum Set {
    /// A member.
    Decoded(Decoded),
}

/// Naming it here is no use of it.
#[derive(Topic, Debug)]
#[topic = "deprecated"]
#[deprecated = "for the test"]
pub struct Deprecated<'a>(pub &'a str);

macro_rules! from_a_macro {
    ($ident:ident, $name:literal, $lifetime:lifetime) => {
        /// From a macro.
        #[derive(Topic, Debug)]
        #[topic = $name]
        pub struct $ident<$lifetime>(pub &$lifetime str);
    };
}
from_a_macro!(FromMacro, "from a macro", 'a);

/// A lifetime, and a type that may have one of its own.
#[derive(Topic, Debug)]
#[topic = "tagged"]
pub struct Tagged<'a, T: 'static>(pub &'a str, pub T);

/// A protocol of all sorts.
#[derive(Protocol, Debug)]
#[protocol(
    to_server(Named, Borrowed<'_>, Tagged<'_, &'static str>, Request, GenericRequest<str>, Stream),
    to_client(Path, Unit, private::Private<'_>, Deprecated<'_>, GenericStream<str>),
)]
pub struct Chat;

/// One with a single topic in each direction, and with fields.
#[derive(Protocol, Debug)]
#[protocol(to_server(Named), to_client(Unit))]
pub struct Small {
    /// A field.
    pub number: u8,
}

/// One with a single topic that borrows.
#[derive(Protocol, Debug)]
#[protocol(to_client(Borrowed<'_>))]
pub enum Alone {}

/// The path of the library, needlessly long.
#[derive(Protocol, Debug)]
#[protocol(to_server(Request, Named), crate = "::socket_ipc")]
pub struct Renamed;

macro_rules! protocol_from_a_macro {
    ($ident:ident, $request:ty => $reply:path, $borrowed:ty) => {
        /// From a macro.
        #[derive(Protocol, Debug)]
        #[protocol(to_server($request, $borrowed), to_client($reply), crate = ::socket_ipc)]
        pub struct $ident;
    };
}
protocol_from_a_macro!(ProtocolFromMacro, Request => Unit, Borrowed<'_>);

/// A message that is received.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "received"]
pub struct Received(pub u8);

/// One that borrows.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic = "text"]
pub struct Text<'m>(pub &'m str);

/// A request that is received.
#[derive(Topic, Serialize, Deserialize, Debug)]
#[topic(name = "number", reply = u8)]
pub struct Number;

mod old {
    #![allow(deprecated)]
    use super::{Deserialize, Serialize, Topic};

    /// A deprecated one.
    #[derive(Topic, Serialize, Deserialize, Debug)]
    #[topic = "old"]
    #[deprecated = "for the test"]
    pub(super) struct Old;
}

/// A protocol of what is received.
#[derive(Protocol, Debug)]
#[protocol(to_server(Received, Text<'_>, Number, old::Old), to_client(Received))]
pub struct Desk;

/// Its handlers.
#[derive(Debug)]
pub struct Handlers<T>(pub T);

#[handlers(server = Desk)]
impl<T: Display + Send + Sync + 'static> Handlers<T> {
    /// A listener.
    pub fn received(&self, Received(number): Received, context: Context<'_, Desk>) {
        drop(context.send(&Received(number)).map_err(|error| format!("{}: {error}", self.0)));
    }

    fn text(&self, text: Text<'_>) {
        assert_ne!(text.0, self.0.to_string());
    }

    /// One that waits.
    async fn number(&self, _: Number, context: Context<'_, Desk>) -> Result<u8, ParseIntError> {
        context.closing().await;
        self.0.to_string().parse()
    }

    #[expect(deprecated)]
    fn old(&self, _: old::Old) {
        assert_ne!(self.0.to_string(), "old");
    }
}

/// The handlers of a client, from a macro.
#[derive(Debug)]
pub struct ClientHandlers(pub u8);

macro_rules! handlers_from_a_macro {
    ($handlers:ty, $method:ident, $topic:ty, $context:ty) => {
        #[handlers(client = Desk, crate = ::socket_ipc)]
        impl $handlers {
            async fn $method(&self, _: $topic, context: $context) {
                context.cancelled().await;
                assert_ne!(self.0, 5);
            }
        }
    };
}
handlers_from_a_macro!(ClientHandlers, received, Received, ClientContext<'_, Desk>);

/// The handlers of a server without a protocol.
#[derive(Debug)]
pub struct OpenHandlers(pub u8);

#[handlers]
impl OpenHandlers {
    /// A constant is no handler.
    pub const LIMIT: u8 = 5;

    fn received(&self, Received(number): Received) {
        assert_ne!(self.0, number);
    }

    #[cfg(any())]
    fn never(&self, _: Never) {}

    const fn number(&self, _: Number) -> u8 {
        self.0
    }
}

mod private {
    use socket_ipc::{Protocol, Topic};

    #[derive(Topic, Debug)]
    #[topic = "private"]
    pub(super) struct Private<'a>(pub(super) &'a str);

    #[derive(Protocol, Debug)]
    #[protocol(to_server(Private<'_>))]
    pub(super) struct Inside;
}

#[test]
fn derive_all_lints_denied_compiles() {
    #[derive(Topic)]
    #[topic = "local"]
    struct Local;

    #[derive(Protocol)]
    #[protocol(to_server(Local, Named))]
    struct LocalChat;

    let protocols = [Chat::NAME, Small::NAME, Alone::NAME, Renamed::NAME, ProtocolFromMacro::NAME];
    assert_eq!(protocols, ["Chat", "Small", "Alone", "Renamed", "ProtocolFromMacro"]);
    assert_eq!([private::Inside::NAME, LocalChat::NAME], ["Inside", "LocalChat"]);
    let names = [Named::NAME, Unit::NAME, Borrowed::NAME, Path::NAME, FromMacro::NAME, Unsized::<str>::NAME];
    assert_eq!(names, ["named", "unit", "borrowed", "path", "from a macro", "unsized"]);
    let server = Desk::server("in memory").build();
    assert!(server.attach(Handlers(5_u8)).is_ok());
    assert!(Desk::client("in memory").build().attach(ClientHandlers(5)).is_ok());
    assert!(socket_ipc::Server::new("in memory").attach(OpenHandlers(OpenHandlers::LIMIT)).is_ok());
    assert_eq!([private::Private("x").0, private::Private::NAME, Local::NAME], ["x", "private", "local"]);
}
