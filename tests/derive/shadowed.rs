//! Every name that generated code could resolve to by mistake.

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
trait Items {}
trait Fails {}
trait Stream {}
struct u64;
struct bool;

#[derive(::socket_ipc::Topic)]
#[topic = "shadowed"]
struct Shadowed;

#[derive(::socket_ipc::Topic)]
#[topic = "borrowed"]
struct Borrowed<'a, T: 'static>(&'a T);

#[derive(::socket_ipc::Topic)]
#[topic(name = "request", reply = Shadowed)]
struct Request;

#[derive(::socket_ipc::Topic)]
#[topic(name = "stream", stream = Shadowed)]
struct StreamRequest;

#[derive(::socket_ipc::Topic)]
#[topic(name = "failing stream", stream = Request, error = Shadowed)]
struct FailingStream;

#[test]
fn derive_names_shadowed_uses_the_real_ones() {
    assert_eq!(<Shadowed as ::socket_ipc::Topic>::NAME, "shadowed");
    assert_eq!(<Borrowed<'_, u8> as ::socket_ipc::Topic>::NAME, "borrowed");
    assert_eq!(
        <<StreamRequest as ::socket_ipc::StreamRequest>::Item as ::socket_ipc::Topic>::NAME,
        "shadowed"
    );
    assert_eq!(
        <<FailingStream as ::socket_ipc::StreamRequest>::Error as ::socket_ipc::Topic>::NAME,
        "shadowed"
    );
    assert_eq!(<<Request as ::socket_ipc::Request>::Reply as ::socket_ipc::Topic>::NAME, "shadowed");
}

/// The names that the code of `#[handlers]` uses.
mod handlers {
    #![allow(clippy::upper_case_acronyms)]

    mod core {}
    mod std {}
    mod socket_ipc {}
    struct Server;
    struct Client;
    struct Attaching;
    enum Result {}
    enum Ok {}
    enum Err {}
    trait Handles {}
    trait Future {}
    struct Arc;

    #[derive(::socket_ipc::Topic, ::serde::Serialize, ::serde::Deserialize)]
    #[topic = "note"]
    struct Note;

    #[derive(::socket_ipc::Topic, ::serde::Serialize, ::serde::Deserialize)]
    #[topic(name = "add", reply = u8)]
    struct Add;

    struct Desk;

    #[::socket_ipc::handlers]
    impl Desk {
        fn note(&self, _: Note, _: ::socket_ipc::Context<'_>) {}

        async fn add(&self, _: Add) -> u8 {
            5
        }
    }

    #[test]
    fn handlers_names_shadowed_uses_the_real_ones() {
        ::socket_ipc::Server::new("in memory").attach(Desk).unwrap();
    }
}
