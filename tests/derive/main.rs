//! What `#[derive(Topic)]` and `#[derive(Protocol)]` make of every shape of type. What they reject is in
//! `tests/ui/derive`.

mod borrowed;
mod from_macros;
mod generics;
mod names;
mod protocols;
mod renamed;
mod requests;
mod shadowed;
mod shapes;
mod streams;

use serde::Deserialize;
use socket_ipc::Topic;

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
