//! `#[derive(Protocol)]`.

use serde::{Deserialize, Serialize};
use socket_ipc::{ErrorReply, Protocol, ToClient, ToServer, Topic, handlers};

use super::decode;

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

/// Everything at once. `Sum` is the reply to requests that travel both ways, and a topic of its own to clients.
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
}

/// Has a method for each topic that travels to a server of `Everything`.
struct Handlers;

#[handlers(server = Everything)]
impl Handlers {
    fn add(&self, _: Add) -> Result<Sum, ErrorReply> {
        Ok(Sum)
    }

    fn subtract(&self, _: Subtract) -> Result<Sum, ErrorReply> {
        Err(ErrorReply::new("never", "no"))
    }

    fn tagged(&self, _: Tagged<'_, u16>) {}
}

/// Has a method for each topic that travels to a client, and for no type that is only a reply.
struct ClientHandlers;

#[handlers(client = Everything)]
impl ClientHandlers {
    fn hello(&self, _: Hello) {}

    fn sum(&self, _: Sum) {}

    fn add(&self, _: Add) -> Sum {
        Sum
    }
}

/// A protocol whose reply types are no topics of their own.
#[derive(Protocol)]
#[protocol(to_server(Add), to_client(Hello))]
struct OnlyReplies;

#[handlers(client = OnlyReplies)]
impl ClientHandlers {
    fn hello_of_only_replies(&self, _: Hello) {}
}

#[test]
fn attach_struct_with_all_topics_needs_no_reply() {
    Everything::server("in memory").build().attach(Handlers).unwrap();
    Everything::client("in memory").build().attach(ClientHandlers).unwrap();
    OnlyReplies::client("in memory").build().attach(ClientHandlers).unwrap();
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
    trait Handles {}
    const all: () = ();

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
    #[protocol(to_server(L, T, Server<'_>), to_client(L, NAMES))]
    struct Shadowed;

    #[test]
    fn derive_names_shadowed_uses_the_real_ones() {
        assert_eq!(<Shadowed as ::socket_ipc::Protocol>::NAME, "Shadowed");
        super::to_client::<Shadowed, NAMES>();
    }
}

macro_rules! protocol {
    ($ident:ident, $to_server:ty, $to_client:path, $request:ident) => {
        #[derive(Protocol)]
        #[protocol(to_server($to_server), to_client($to_client, $request))]
        struct $ident;
    };
}
protocol!(FromMacro, Tagged<'_, u8>, super::protocols::Hello, Add);

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
    to_server::<FromMacro, Tagged<'static, u8>>();
    assert_eq!(decode::<Tagged<'_, u8>>(r#"["x",1]"#).1, decode::<Batch<u8>>("[1]").0[0]);
    assert_eq!(decode::<Tagged<'_, u8>>(r#"["x",1]"#).0, "x");
}
