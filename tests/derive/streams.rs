//! Topics whose replies are streams.

use std::fmt::Display;
use std::marker::PhantomData;

use futures::stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ErrorReply, Exchange, Items, ReplyStream, Server, StreamRequest, Topic, kind};

/// Compiles if `Q` is a stream of `I` that fails with `E`.
#[allow(clippy::extra_unused_type_parameters)]
fn streams<Q: StreamRequest<Item = I, Error = E> + Exchange<Kind = kind::Stream>, I, E>() -> &'static str {
    assert_eq!((Q::REPLY, Q::IS_STREAM), (None, true), "it has no single reply");
    Q::NAME
}

/// What a stream of `Q` makes of what is yielded.
fn item<Q: Items<R>, R>(yielded: R) -> Result<Q::Item, Q::Error> {
    Q::into_item(yielded)
}

#[derive(Topic)]
#[topic(name = "count", stream = u64)]
struct Count;

#[derive(Topic)]
#[topic(error = "CountError", stream = "Vec<u64>", name = "in strings")]
enum InStrings {}

#[derive(Debug, PartialEq)]
struct CountError;

#[derive(Topic)]
#[topic(name = "units", stream = ())]
struct Units;

/// An item that is a result is an item, and no failure.
#[derive(Topic)]
#[topic(name = "results", stream = Result<u64, String>, error = CountError)]
struct Results;

#[derive(Topic)]
#[topic(name = "itself", stream = Self)]
struct Itself;

#[derive(Topic)]
#[topic(name = "projected", stream = <InStrings as StreamRequest>::Item, error = <Results as StreamRequest>::Error)]
struct Projected;

#[test]
fn derive_stream_item_and_error_are_those_of_the_attribute() {
    assert_eq!(streams::<Count, u64, ErrorReply>(), "count");
    assert_eq!(streams::<InStrings, Vec<u64>, CountError>(), "in strings");
    assert_eq!(streams::<Units, (), ErrorReply>(), "units");
    assert_eq!(streams::<Results, Result<u64, String>, CountError>(), "results");
    assert_eq!(streams::<Itself, Itself, ErrorReply>(), "itself");
    assert_eq!(streams::<Projected, Vec<u64>, CountError>(), "projected");
}

#[test]
fn derive_stream_yields_items_and_results_of_them() {
    assert_eq!(item::<Count, _>(5).unwrap(), 5);
    assert_eq!(item::<Count, Result<u64, String>>(Ok(5)).unwrap(), 5);
    assert_eq!(item::<Count, _>("five".parse::<u64>()).unwrap_err().code(), ErrorReply::FAILED);
    assert_eq!(item::<InStrings, Result<Vec<u64>, _>>(Err(CountError)), Err(CountError));
    assert_eq!(item::<Results, _>(Err("no".to_owned())), Ok(Err("no".to_owned())));
    assert_eq!(item::<Results, Result<_, _>>(Ok(Err("no".to_owned()))), Ok(Err("no".to_owned())));
    item::<Units, _>(()).unwrap();
}

/// A generic stream, whose item and error have its parameters.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "find", stream = Found<T, [u8; N]>, error = NotFound<T>)]
struct Find<T: Display, const N: usize>(T)
where
    T: PartialEq;

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Found<T, U>(T, PhantomData<U>);

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct NotFound<T>(T);

/// Generic over the type of the request's field.
fn find<T>(client: &Client, value: T) -> ReplyStream<Found<T, [u8; 2]>, NotFound<T>>
where
    T: Serialize + DeserializeOwned + Display + PartialEq + 'static,
{
    client.request_stream(&Find::<T, 2>(value))
}

fn respond<T>(server: &Server)
where
    T: Serialize + DeserializeOwned + Display + PartialEq + Clone + Send + 'static,
{
    server
        .respond_stream::<Find<T, 2>>(|Find(value), _| {
            stream::iter([Ok(Found(value.clone(), PhantomData)), Err(NotFound(value))])
        })
        .unwrap();
}

#[test]
fn derive_generic_stream_is_requested_and_responded_to() {
    assert_eq!(streams::<Find<u8, 0>, Found<u8, [u8; 0]>, NotFound<u8>>(), "find");
    respond::<String>(&Server::new("nowhere"));
    // It is not sent, as there is no server.
    drop(find(&Client::new("nowhere"), "x".to_owned()));
    assert_eq!(item::<Find<u8, 1>, _>(Found(1, PhantomData)), Ok(Found(1, PhantomData)));
    assert_eq!(item::<Find<u8, 1>, Result<_, _>>(Err(NotFound(1))), Err(NotFound(1)));
}

macro_rules! stream_of {
    ($request:ident -> $ty:ty, $path:path, $ident:ident) => {
        #[derive(Topic)]
        #[topic(name = "type", stream = $ty)]
        struct $request;

        const _: () = {
            #[derive(Topic)]
            #[topic(name = "path", stream = $path)]
            struct Path;
            #[derive(Topic)]
            #[topic(name = "ident", stream = u8, error = $ident)]
            struct Ident;
            assert!(Path::NAME.len() < Ident::NAME.len());
        };
    };
}
stream_of!(FromMacro -> Found<u8, u8>, super::streams::CountError, CountError);

#[test]
fn derive_stream_takes_its_item_from_a_macro() {
    assert_eq!(streams::<FromMacro, Found<u8, u8>, ErrorReply>(), "type");
    assert_eq!(Found(1, PhantomData::<u8>).0, 1);
}
