//! The library under other names.

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
        type Kind;
    }

    pub use socket_ipc::kind;
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

#[derive(socket_ipc::Topic)]
#[topic(name = "stream", stream = Bare, error = Failure, crate = reexport::ipc)]
struct Stream;

struct Failure;

#[derive(socket_ipc::Protocol)]
#[protocol(
    to_server(Request, InString, Stream),
    to_client(InString),
    crate = "crate::renamed::reexport::ipc"
)]
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
    fn to_server_of<P: socket_ipc::Protocol + socket_ipc::ToServer<T>, T>() -> &'static str {
        P::NAME
    }
    assert_eq!(protocol::<Chat, InString>(), "Chat");
    assert_eq!(to_server_of::<Chat, Stream>(), "Chat");
    assert_eq!(to_server_of::<DollarChat, InString>(), "DollarChat");
    assert_eq!(protocol::<FragmentChat, InString>(), "FragmentChat");
    assert_eq!(name::<Relative>(), "relative");
    assert_eq!(name::<Absolute>(), "absolute");
    assert_eq!(name::<Dollar>(), "dollar");
    assert_eq!(name::<<Request as socket_ipc::Request>::Reply>(), "bare");
    assert_eq!(name::<<Stream as socket_ipc::StreamRequest>::Item>(), "bare");
    let Failure: <Stream as socket_ipc::StreamRequest>::Error = Failure;
    assert_eq!(<Other<'_> as stand_in::Topic>::NAME, "stand-in");
    assert_eq!(<Fragment as stand_in::Topic>::NAME, "fragment");
    let _: <Other<'static> as stand_in::Topic>::Message<'_> = Other(Other("").0);
}

/// Methods of a struct by every path.
mod handlers {
    use super::super::renamed::reexport::ipc::{RegisterError, handlers};
    use super::reexport;

    #[derive(reexport::ipc::Topic, serde::Serialize, serde::Deserialize)]
    #[topic(name = "note", crate = reexport::ipc)]
    struct Note;

    struct InString;

    #[handlers(crate = "reexport::ipc")]
    impl InString {
        fn note(&self, _: Note) {}
    }

    struct Bare;

    #[handlers(client, crate = crate::renamed::reexport::ipc)]
    impl Bare {
        async fn note(&self, _: Note, _: reexport::ipc::ClientContext<'_>) {}
    }

    macro_rules! by_crate {
        ($topic:ty, $method:ident) => {
            struct Dollar;

            #[handlers(server, crate = $crate::renamed::reexport::ipc)]
            impl Dollar {
                fn $method(&self, _: $topic) {}
            }
        };
    }
    by_crate!(Note, handle);

    #[test]
    fn handlers_crate_attribute_gives_the_path_of_the_library() -> Result<(), RegisterError> {
        let server = reexport::ipc::Server::new("in memory");
        server.attach(InString)?;
        server.attach(Dollar)?;
        reexport::ipc::Client::new("in memory").attach(Bare)?;
        Ok(())
    }
}
