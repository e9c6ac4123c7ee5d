//! Topics with replies.

use std::fmt::Display;
use std::marker::PhantomData;

use socket_ipc::{ErrorReply, Exchange, Request, Topic, kind};

/// Compiles if `T` is a topic of the kind `K`.
fn kind_is<T: Exchange<Kind = K>, K>() -> &'static str {
    T::NAME
}

/// Compiles if the reply to `Q` is an `R`.
#[allow(clippy::extra_unused_type_parameters)]
fn replied_by<Q: Request<Reply = R, Error = ErrorReply> + Exchange<Kind = kind::Request>, R: Topic>()
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
fn derive_topic_without_reply_is_a_message() {
    fn is<'m>(_: &'m str) -> &'static str {
        kind_is::<Log<'m, u8>, kind::Message>()
    }
    assert_eq!([is(""), kind_is::<Sum, kind::Message>()], ["log", "sum"]);
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
