//! What `#[derive(Topic)]` and `#[derive(Protocol)]` make of every shape of type. What they reject is in
//! `tests/ui/derive`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Attaches, Client, ClientHandle, Context, ErrorReply, Exchange, Hears, Protocol, Request, Server,
    ToClient, ToServer, Topic,
};

/// Decodes as a typed listener does: `T` is named once, the message borrows from the bytes.
fn decode<'m, T: Topic>(json: &'m str) -> T::Message<'m>
where
    T::Message<'m>: Deserialize<'m>,
{
    serde_json::from_str(json).unwrap()
}

/// The bound of every listener: a message of any buffer.
fn listen<T: Topic + 'static>(json: &str, listener: impl for<'m> Fn(T::Message<'m>))
where
    for<'m> T::Message<'m>: Deserialize<'m>,
{
    listener(serde_json::from_str(json).unwrap());
}

/// Compiles if a message of `T` is `M`.
fn message_is<'m, T: Topic<Message<'m> = M>, M>() -> &'static str {
    T::NAME
}

mod shapes {
    use super::*;

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "named"]
    struct Named {
        text: String,
    }

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "tuple"]
    struct Tuple(u8, String);

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "unit"]
    struct Unit;

    #[derive(Topic, Serialize, Deserialize, Debug, PartialEq)]
    #[topic = "enum"]
    enum Enum {
        Unit,
        Tuple(u8),
        Named { text: String },
    }

    #[derive(Topic)]
    #[topic = "never"]
    enum Never {}

    #[test]
    fn derive_owned_shapes_have_their_name_and_are_the_message() {
        assert_eq!(message_is::<Named, Named>(), "named");
        assert_eq!(message_is::<Tuple, Tuple>(), "tuple");
        assert_eq!(message_is::<Unit, Unit>(), "unit");
        assert_eq!(message_is::<Enum, Enum>(), "enum");
        assert_eq!(message_is::<Never, Never>(), "never");
    }

    #[test]
    fn derive_owned_shapes_decode() {
        assert_eq!(decode::<Named>(r#"{"text":"hi"}"#), Named { text: "hi".into() });
        assert_eq!(decode::<Tuple>(r#"[7,"hi"]"#), Tuple(7, "hi".into()));
        assert_eq!(decode::<Unit>("null"), Unit);
        assert_eq!(decode::<Enum>(r#""Unit""#), Enum::Unit);
        assert_eq!(decode::<Enum>(r#"{"Tuple":7}"#), Enum::Tuple(7));
        assert_eq!(decode::<Enum>(r#"{"Named":{"text":"hi"}}"#), Enum::Named { text: "hi".into() });
    }
}

mod names {
    use super::*;

    #[derive(Topic)]
    #[topic(name = "long form")]
    struct Long;

    #[derive(Topic)]
    #[topic(name = "long form, comma behind")]
    struct Comma;

    #[derive(Topic)]
    #[topic = r#"raw "literal""#]
    struct RawLiteral;

    /// A doc comment above the attribute.
    #[derive(Topic)]
    /// And one between.
    #[cfg_attr(all(), topic = "conditional")]
    #[cfg_attr(any(), topic = "never")]
    struct Conditional;

    #[derive(Topic)]
    #[topic = "raw identifier"]
    #[allow(non_camel_case_types)]
    struct r#type;

    #[derive(Topic)]
    #[topic = "grüße 👋 %EOM% \" \\"]
    struct NotAscii;

    // 256 bytes: the longest.
    #[derive(Topic)]
    #[topic = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
    struct Longest;

    #[test]
    fn derive_name_forms_give_the_name_of_the_literal() {
        assert_eq!(Long::NAME, "long form");
        assert_eq!(Comma::NAME, "long form, comma behind");
        assert_eq!(RawLiteral::NAME, r#"raw "literal""#);
        assert_eq!(Conditional::NAME, "conditional");
        assert_eq!(r#type::NAME, "raw identifier");
        assert_eq!(NotAscii::NAME, "grüße 👋 %EOM% \" \\");
        assert_eq!(Longest::NAME.len(), 256);
    }
}

mod borrowed {
    use super::*;

    #[derive(Topic, Serialize, Deserialize)]
    #[topic = "log"]
    struct Log<'m> {
        level: u8,
        #[serde(borrow)]
        text: Cow<'m, str>,
        target: &'m str,
    }

    #[derive(Topic, Deserialize)]
    #[topic = "enum"]
    enum Enum<'anything> {
        Text(&'anything str),
    }

    #[derive(Topic, Deserialize)]
    #[topic = "tuple"]
    struct Tuple<'a>(&'a str);

    #[test]
    fn derive_borrowed_message_borrows_from_the_received_bytes() {
        let json = String::from(r#"{"level":3,"text":"no escapes","target":"here"}"#);
        let log = decode::<Log<'static>>(&json);
        assert_eq!((log.level, log.target), (3, "here"));
        assert!(matches!(log.text, Cow::Borrowed("no escapes")));
        assert!(json.as_bytes().as_ptr_range().contains(&log.target.as_ptr()));

        assert_eq!(decode::<Tuple<'_>>(r#""text""#).0, "text");
        let Enum::Text(text) = decode::<Enum<'_>>(r#"{"Text":"text"}"#);
        assert_eq!(text, "text");
    }

    #[test]
    fn listener_of_borrowed_topic_needs_no_annotation() {
        listen::<Log<'_>>(r#"{"level":3,"text":"hi","target":"here"}"#, |msg| assert_eq!(msg.target, "here"));
        listen::<Tuple<'_>>(r#""text""#, |msg| assert_eq!(msg.0.len(), 4));
    }

    #[test]
    fn derive_borrowed_message_replaces_only_the_lifetime() {
        fn is<'m>(_: &'m str) -> &'static str {
            message_is::<'m, Log<'static>, Log<'m>>()
        }
        assert_eq!(is(""), "log");
    }
}

mod generics {
    use super::*;

    #[derive(Topic, Serialize, Deserialize)]
    #[topic = "generic"]
    struct Generic<T: Display + ?Sized = str, U = Vec<T>, const N: usize = 3>
    where
        U: Default,
    {
        value: Box<T>,
        #[serde(skip)]
        other: U,
        #[serde(skip)]
        array: PhantomData<[u8; N]>,
    }

    #[derive(Topic)]
    #[topic = "constants"]
    struct Constants<const N: usize, const B: bool, const C: char>;

    #[derive(Topic)]
    #[topic = "bounded for any"]
    struct ForAny<F>(F)
    where
        F: for<'m> Fn(&'m str) -> &'m str,
        for<'m> &'m F: Copy;

    #[test]
    fn derive_generic_without_lifetime_message_is_the_type() {
        assert_eq!(message_is::<Generic<str, u8, 0>, Generic<str, u8, 0>>(), "generic");
        let decoded = decode::<Generic<u64, String>>(r#"{"value":5}"#);
        assert_eq!((*decoded.value, decoded.other.len(), decoded.array), (5, 0, PhantomData));
        assert_eq!(Constants::<1, true, 'x'>::NAME, "constants");
        // The parameter may be a type that borrows: nothing needs it to be `'static`.
        assert_eq!(decode::<Generic<&str, u8>>(r#"{"value":"hi"}"#).value.len(), 2);
        fn name<F: for<'m> Fn(&'m str) -> &'m str>(_: ForAny<F>) -> &'static str {
            ForAny::<F>::NAME
        }
        assert_eq!(name(ForAny(str::trim)), "bounded for any");
    }

    /// A type parameter, a constant, and a lifetime, the bound inline.
    #[derive(Topic, Deserialize)]
    #[topic = "inline"]
    struct Inline<'a, T: 'static + Display, const N: usize> {
        text: &'a str,
        value: T,
        #[serde(skip)]
        array: PhantomData<[u8; N]>,
    }

    /// The bound in the where clause, and one by a borrowed field.
    #[derive(Topic)]
    #[topic = "clause"]
    struct Clause<'a, T, U>
    where
        T: 'a + 'static,
        U: 'static,
        Vec<U>: 'a,
    {
        borrowed: &'a T,
        more: &'a [U],
    }

    /// A trait with a lifetime, as visitors and decoders have.
    trait Source<'a, X: ?Sized> {
        type Item;
    }
    impl<'a, X: ?Sized> Source<'a, X> for u8 {
        type Item = &'a str;
    }

    /// Bounds that name the lifetime: inline, in the clause, on a type that holds it, below a `for`.
    #[derive(Topic)]
    #[topic = "named"]
    struct Named<'a, T: Source<'a, str> + 'static, U>
    where
        T: for<'x> Source<'a, &'x str>,
        for<'x> U: Fn(&'x str, &'a str) + 'static,
        &'a T: Copy + for<'x> PartialEq<&'x T>,
        Cow<'a, str>: Clone,
    {
        item: <T as Source<'a, str>>::Item,
        listener: U,
    }

    /// The lifetime has the name that the derive uses where there is none, and the type need not be sized.
    #[derive(Topic)]
    #[topic = "m"]
    struct M<'m, T: ?Sized + 'static>(&'m T);

    #[test]
    fn derive_generic_with_lifetime_keeps_the_types() {
        fn is<'m>(_: &'m str) -> [&'static str; 4] {
            type F = fn(&str, &str);
            [
                message_is::<'m, Inline<'static, u8, 2>, Inline<'m, u8, 2>>(),
                message_is::<'m, Clause<'static, u8, u8>, Clause<'m, u8, u8>>(),
                message_is::<'m, Named<'static, u8, F>, Named<'m, u8, F>>(),
                message_is::<'m, M<'static, str>, M<'m, str>>(),
            ]
        }
        assert_eq!(is(""), ["inline", "clause", "named", "m"]);

        listen::<Inline<'_, u8, 2>>(r#"{"text":"hi","value":7}"#, |msg| {
            assert_eq!((msg.text, msg.value, msg.array), ("hi", 7, PhantomData));
        });
        let (clause, listener) = (Clause { borrowed: &1, more: &[2] }, |_: &str, _: &str| {});
        assert_eq!(clause.more[0] - clause.borrowed, 1);
        let named = Named::<'_, u8, _> { item: "x", listener };
        (named.listener)(named.item, M("y").0);
    }

    #[test]
    fn generic_caller_needs_only_the_bounds_of_the_type() {
        fn value<T: Display + 'static>(json: &str) -> String
        where
            for<'m> Inline<'m, T, 0>: Deserialize<'m>,
        {
            decode::<Inline<'_, T, 0>>(json).value.to_string()
        }
        assert_eq!(value::<u8>(r#"{"text":"","value":7}"#), "7");
    }

    #[test]
    fn derive_map_decodes() {
        #[derive(Topic, Deserialize)]
        #[topic = "map"]
        struct Map<V>(HashMap<String, V>);
        assert_eq!(decode::<Map<u8>>(r#"{"a":1}"#).0["a"], 1);
    }
}

mod requests {
    use super::*;

    /// Compiles if a listener of `T` returns an `O`.
    fn outcome_is<T: Exchange<Outcome = O>, O>() -> &'static str {
        T::NAME
    }

    /// Compiles if the reply to `Q` is an `R`.
    #[allow(clippy::extra_unused_type_parameters)]
    fn replied_by<Q: Request<Reply = R> + Exchange<Outcome = Result<R, ErrorReply>>, R: Topic>()
    -> &'static str {
        R::NAME
    }

    #[derive(Topic)]
    #[topic(name = "add", reply = Sum)]
    struct Add;

    #[derive(Topic)]
    #[topic(reply = "Sum", name = "subtract")]
    enum Subtract {}

    #[derive(Topic)]
    #[topic = "sum"]
    struct Sum;

    #[test]
    fn derive_request_reply_is_that_of_the_attribute() {
        assert_eq!([replied_by::<Add, Sum>(), replied_by::<Subtract, Sum>()], ["sum", "sum"]);
    }

    #[derive(Topic)]
    #[topic = "log"]
    struct Log<'m, T: 'static>(#[allow(dead_code)] &'m T);

    #[test]
    fn derive_topic_without_reply_has_no_outcome() {
        fn is<'m>(_: &'m str) -> &'static str {
            outcome_is::<Log<'m, u8>, ()>()
        }
        assert_eq!([is(""), outcome_is::<Sum, ()>()], ["log", "sum"]);
    }

    /// A generic request, whose reply has its parameters in another type.
    #[derive(Topic)]
    #[topic(name = "find", reply = Found<T, [u8; N]>)]
    struct Find<T: Display + ?Sized, const N: usize>(Box<T>)
    where
        T: PartialEq;

    #[derive(Topic)]
    #[topic(name = "found", reply = self::Found<U, T>)]
    struct Found<T: ?Sized, U: ?Sized>(PhantomData<T>, PhantomData<U>);

    #[derive(Topic)]
    #[topic(name = "by projection", reply = <Add as Request>::Reply)]
    struct Projected;

    #[derive(Topic)]
    #[topic(name = "by itself", reply = Self)]
    struct Itself;

    #[derive(Topic)]
    #[topic(name = "static", reply = Log<'static, u8>)]
    struct Static;

    #[test]
    fn derive_request_takes_any_topic_as_reply() {
        assert_eq!(replied_by::<Find<str, 2>, Found<str, [u8; 2]>>(), "found");
        assert_eq!(replied_by::<Found<str, u8>, Found<u8, str>>(), "found");
        assert_eq!(replied_by::<Projected, Sum>(), "sum");
        assert_eq!(replied_by::<Itself, Itself>(), "by itself");
        assert_eq!(replied_by::<Static, Log<'static, u8>>(), "log");
        assert_eq!(
            (Find::<_, 0>(Box::new(1)).0, Found::<u8, u8>(PhantomData, PhantomData).0),
            (Box::new(1), PhantomData)
        );
    }

    macro_rules! request {
        ($request:ident -> $ty:ty, $path:path, $ident:ident) => {
            #[derive(Topic)]
            #[topic(name = "type", reply = $ty)]
            struct $request;

            const _: () = {
                #[derive(Topic)]
                #[topic(name = "path", reply = $path)]
                struct Path;
                #[derive(Topic)]
                #[topic(name = "ident", reply = $ident)]
                struct Ident;
                assert!(<Path as Request>::Reply::NAME.len() == <Ident as Request>::Reply::NAME.len());
            };
        };
    }
    request!(FromMacro -> Found<u8, u8>, super::requests::Sum, Sum);

    #[test]
    fn derive_request_takes_a_reply_from_a_macro() {
        assert_eq!(replied_by::<FromMacro, Found<u8, u8>>(), "found");
    }
}

mod protocols {
    use super::*;

    #[derive(Topic, Deserialize)]
    #[topic = "hello"]
    struct Hello;

    #[derive(Topic, Deserialize)]
    #[topic(name = "add", reply = Sum)]
    struct Add;

    #[derive(Topic, Deserialize)]
    #[topic(name = "subtract", reply = Sum)]
    struct Subtract;

    #[derive(Topic, Serialize, Deserialize)]
    #[topic = "sum"]
    struct Sum;

    #[derive(Topic, Deserialize)]
    #[topic = "tagged"]
    struct Tagged<'a, T: 'static>(&'a str, T);

    #[derive(Topic, Deserialize)]
    #[topic = "batch"]
    struct Batch<T>(Vec<T>);

    /// Compiles if clients may send `T` and servers listen for it.
    fn to_server<P: ToServer<T>, T>() {}

    /// Compiles if servers may send `T` and clients listen for it.
    fn to_client<P: ToClient<T>, T>() {}

    /// Compiles if an `L` may be attached to a server.
    fn server_attaches<P: Attaches<L, Server<P>> + 'static, L>() {}

    /// Compiles if an `L` may be attached to a client.
    fn client_attaches<P: Attaches<L, Client<P>> + 'static, L>() {}

    #[derive(Protocol)]
    #[protocol(to_server(Hello), to_client(Sum))]
    struct Unit;

    #[derive(Protocol)]
    #[protocol(to_client(Hello,))]
    enum Empty {}

    #[derive(Protocol)]
    #[protocol(to_client(), to_server(self::Hello))]
    struct Named {
        _field: u8,
    }

    #[derive(Protocol)]
    #[protocol(to_server(Hello), to_client(Hello))]
    #[allow(non_camel_case_types)]
    struct r#type(#[allow(dead_code)] u8);

    #[test]
    fn derive_protocol_name_is_that_of_the_type() {
        assert_eq!([Unit::NAME, Empty::NAME, Named::NAME, r#type::NAME], ["Unit", "Empty", "Named", "type"]);
    }

    #[test]
    fn derive_protocol_topic_both_ways_compiles() {
        to_server::<r#type, Hello>();
        to_client::<r#type, Hello>();
    }

    /// Everything at once. `Sum` is the reply to two requests that travel to the server, the reply to one that travels
    /// to clients, and a topic of its own to clients.
    #[derive(Protocol)]
    #[protocol(
        to_server(Add, Subtract, Tagged<'_, u16>),
        to_client(Hello, Sum, Add),
    )]
    struct Everything;

    /// The lifetime of a type argument. Such a message can be sent; no listener can be called with it.
    #[derive(Protocol)]
    #[protocol(to_server(Batch<Tagged<'_, u8>>))]
    struct Nested;

    #[test]
    fn derive_protocol_borrowed_topics_and_replies_compile() {
        fn borrowed<'m>(_: &'m str) {
            to_server::<Everything, Tagged<'m, u16>>();
            to_server::<Nested, Batch<Tagged<'m, u8>>>();
        }
        borrowed("");
        to_server::<Everything, Add>();
        to_server::<Everything, Subtract>();
        to_client::<Everything, Sum>();
        to_client::<Everything, Hello>();
        to_client::<Everything, Add>();
        to_server::<Everything, Sum>();
    }

    /// Has a method for each topic that travels to a server of `Everything`.
    struct Handlers;

    impl Hears<Add, Server<Everything>> for Handlers {
        fn hear(&self, _: Add, _: Context<'_, Everything>) -> Result<Sum, ErrorReply> {
            Ok(Sum)
        }
    }

    impl Hears<Subtract, Server<Everything>> for Handlers {
        fn hear(&self, _: Subtract, _: Context<'_, Everything>) -> Result<Sum, ErrorReply> {
            Err(ErrorReply::new("never", "no"))
        }
    }

    impl Hears<Tagged<'_, u16>, Server<Everything>> for Handlers {
        fn hear(&self, _: Tagged<'_, u16>, _: Context<'_, Everything>) {}
    }

    /// Has a method for each topic that travels to a client, and for no type that is only a reply.
    struct ClientHandlers;

    impl Hears<Hello, Client<Everything>> for ClientHandlers {
        fn hear(&self, _: Hello, _: &ClientHandle<Everything>) {}
    }

    impl Hears<Sum, Client<Everything>> for ClientHandlers {
        fn hear(&self, _: Sum, _: &ClientHandle<Everything>) {}
    }

    impl Hears<Add, Client<Everything>> for ClientHandlers {
        fn hear(&self, _: Add, _: &ClientHandle<Everything>) -> Result<Sum, ErrorReply> {
            Ok(Sum)
        }
    }

    /// A protocol whose reply types are no topics of their own.
    #[derive(Protocol)]
    #[protocol(to_server(Add), to_client(Hello))]
    struct OnlyReplies;

    impl Hears<Hello, Client<OnlyReplies>> for ClientHandlers {
        fn hear(&self, _: Hello, _: &ClientHandle<OnlyReplies>) {}
    }

    #[test]
    fn attach_struct_with_all_topics_needs_no_reply() {
        server_attaches::<Everything, Handlers>();
        client_attaches::<Everything, ClientHandlers>();
        client_attaches::<OnlyReplies, ClientHandlers>();
        to_client::<OnlyReplies, Sum>();
    }

    /// The names that generated code uses, and a topic whose name is the protocol's.
    mod shadowed {
        #![allow(dead_code, non_camel_case_types, non_upper_case_globals, clippy::upper_case_acronyms)]

        mod core {}
        mod std {}
        mod socket_ipc {}
        struct str;
        enum Option {}
        enum Result {}
        trait Protocol {}
        trait Topic {}
        trait Hears {}
        const room: () = ();

        #[derive(::socket_ipc::Topic)]
        #[topic = "L"]
        struct L;
        #[derive(::socket_ipc::Topic)]
        #[topic(name = "T", reply = NAMES)]
        struct T;
        #[derive(::socket_ipc::Topic)]
        #[topic = "NAMES"]
        struct NAMES;
        #[derive(::socket_ipc::Topic)]
        #[topic = "Server"]
        struct Server<'m>(&'m u8);

        #[derive(::socket_ipc::Protocol)]
        #[protocol(to_server(L, T, Server<'_>), to_client(L))]
        struct Shadowed;

        #[test]
        fn derive_names_shadowed_uses_the_real_ones() {
            assert_eq!(<Shadowed as ::socket_ipc::Protocol>::NAME, "Shadowed");
            super::to_client::<Shadowed, NAMES>();
        }
    }

    macro_rules! protocol {
        ($ident:ident, $to_server:ty, $to_client:path, $request:ident => $reply:ty) => {
            #[derive(Protocol)]
            #[protocol(to_server($to_server), to_client($to_client, $request))]
            struct $ident;
        };
    }
    protocol!(FromMacro, Tagged<'_, u8>, super::protocols::Hello, Add => Sum);

    #[test]
    fn derive_protocol_takes_topics_from_macros_and_functions() {
        #[derive(Topic)]
        #[topic = "local"]
        struct Local;
        #[derive(Protocol)]
        #[protocol(to_server(Local, FromOutside))]
        struct Here;
        type FromOutside = Hello;

        to_server::<Here, Local>();
        to_server::<Here, Hello>();
        to_client::<FromMacro, Add>();
        to_server::<FromMacro, Sum>();
        to_server::<FromMacro, Tagged<'static, u8>>();
        assert_eq!(decode::<Tagged<'_, u8>>(r#"["x",1]"#).1, decode::<Batch<u8>>("[1]").0[0]);
        assert_eq!(decode::<Tagged<'_, u8>>(r#"["x",1]"#).0, "x");
    }
}

/// The library under other names.
mod renamed {
    /// As a crate that re-exports the library would.
    pub mod reexport {
        pub use socket_ipc as ipc;
    }

    /// Stand-ins for the library's traits: which trait is implemented shows which path the derive took.
    mod stand_in {
        pub trait Topic {
            const NAME: &'static str;
            type Message<'m>;
        }

        #[allow(dead_code)]
        pub trait Exchange {
            type Outcome;
        }
    }

    #[derive(socket_ipc::Topic)]
    #[topic(name = "string", crate = "crate::renamed::reexport::ipc")]
    struct InString;

    #[derive(socket_ipc::Topic)]
    #[topic(crate = crate::renamed::reexport::ipc, name = "bare")]
    struct Bare;

    #[derive(socket_ipc::Topic)]
    #[topic(name = "relative", crate = "self::reexport::ipc")]
    struct Relative;

    #[derive(socket_ipc::Topic)]
    #[topic(name = "absolute", crate = "::socket_ipc")]
    struct Absolute;

    #[derive(socket_ipc::Topic)]
    #[topic(name = "stand-in", crate = "stand_in")]
    struct Other<'a>(&'a str);

    macro_rules! by_crate {
        ($path:path) => {
            #[derive(socket_ipc::Topic)]
            #[topic(name = "dollar", crate = $crate::renamed::reexport::ipc)]
            struct Dollar;

            #[derive(socket_ipc::Topic)]
            #[topic(name = "fragment", crate = $path)]
            struct Fragment;
        };
    }
    by_crate!(super::renamed::stand_in);

    #[derive(socket_ipc::Topic)]
    #[topic(name = "request", reply = Bare, crate = reexport::ipc)]
    struct Request;

    #[derive(socket_ipc::Protocol)]
    #[protocol(to_server(Request, InString), to_client(InString), crate = "crate::renamed::reexport::ipc")]
    struct Chat;

    macro_rules! protocol_by_crate {
        ($path:path) => {
            #[derive(socket_ipc::Protocol)]
            #[protocol(crate = $crate::renamed::reexport::ipc, to_server(Request, InString))]
            struct DollarChat;

            #[derive(socket_ipc::Protocol)]
            #[protocol(crate = $path, to_client(InString))]
            struct FragmentChat;
        };
    }
    protocol_by_crate!(super::renamed::reexport::ipc);

    #[test]
    fn derive_crate_attribute_gives_the_path_of_the_trait() {
        fn name<T: socket_ipc::Topic>() -> &'static str {
            T::NAME
        }
        assert_eq!(name::<InString>(), "string");
        assert_eq!(name::<Bare>(), "bare");
        fn protocol<P: socket_ipc::Protocol + socket_ipc::ToClient<T>, T>() -> &'static str {
            P::NAME
        }
        assert_eq!(protocol::<Chat, Bare>(), "Chat");
        assert_eq!(protocol::<DollarChat, Bare>(), "DollarChat");
        assert_eq!(protocol::<FragmentChat, InString>(), "FragmentChat");
        assert_eq!(name::<Relative>(), "relative");
        assert_eq!(name::<Absolute>(), "absolute");
        assert_eq!(name::<Dollar>(), "dollar");
        assert_eq!(name::<<Request as socket_ipc::Request>::Reply>(), "bare");
        assert_eq!(<Other<'_> as stand_in::Topic>::NAME, "stand-in");
        assert_eq!(<Fragment as stand_in::Topic>::NAME, "fragment");
        let _: <Other<'static> as stand_in::Topic>::Message<'_> = Other(Other("").0);
    }
}

/// Every name that generated code could resolve to by mistake.
mod shadowed {
    #![allow(dead_code, non_camel_case_types)]

    mod core {}
    mod std {}
    mod socket_ipc {}
    struct str;
    struct String;
    enum Option {}
    enum Result {}
    trait Topic {}
    trait Sized {}

    #[derive(::socket_ipc::Topic)]
    #[topic = "shadowed"]
    struct Shadowed;

    #[derive(::socket_ipc::Topic)]
    #[topic = "borrowed"]
    struct Borrowed<'a, T: 'static>(&'a T);

    #[derive(::socket_ipc::Topic)]
    #[topic(name = "request", reply = Shadowed)]
    struct Request;

    #[test]
    fn derive_names_shadowed_uses_the_real_ones() {
        assert_eq!(<Shadowed as ::socket_ipc::Topic>::NAME, "shadowed");
        assert_eq!(<Borrowed<'_, u8> as ::socket_ipc::Topic>::NAME, "borrowed");
        assert_eq!(<<Request as ::socket_ipc::Request>::Reply as ::socket_ipc::Topic>::NAME, "shadowed");
    }
}

mod from_macros {
    use super::*;

    macro_rules! topics {
        ($($vis:vis $ident:ident = $name:literal, $expr:expr;)*) => {$(
            #[derive(Topic, Deserialize)]
            #[topic = $name]
            $vis struct $ident<'a>(&'a str);

            const _: () = {
                #[derive(Topic)]
                #[topic = $expr]
                struct Expr;
                #[derive(Topic)]
                #[topic(name = $expr)]
                struct LongExpr;
                #[derive(Topic)]
                #[topic(name = $name)]
                struct LongLiteral;
                assert!(Expr::NAME.len() == LongExpr::NAME.len());
                assert!(LongLiteral::NAME.len() == $ident::NAME.len());
            };
        )*};
    }
    topics! {
        First = "first", "as an expression";
        pub(super) Second = "second", "another";
    }

    macro_rules! with_generics {
        ($ident:ident, $a:lifetime, $t:ident, $ty:ty, $bound:path) => {
            #[derive(Topic)]
            #[topic = "generic"]
            struct $ident<$a, $t>(&$a $t, $ty)
            where
                $t: $bound + 'static,
                $ty: 'static;
        };
    }
    with_generics!(Pieces, 'p, T, Vec<T>, Clone);

    #[test]
    fn derive_takes_names_and_types_from_macros() {
        assert_eq!((First::NAME, Second::NAME), ("first", "second"));
        assert_eq!(decode::<First<'_>>(r#""x""#).0, decode::<Second<'_>>(r#""x""#).0);
        assert_eq!(Pieces::<u8>::NAME, "generic");
        let pieces = Pieces(&1, vec![1]);
        assert_eq!(*pieces.0, pieces.1[0]);
    }

    #[test]
    fn derive_in_a_function_compiles() {
        #[derive(Topic)]
        #[topic = "local"]
        struct Local;
        assert_eq!(Local::NAME, "local");
    }
}
