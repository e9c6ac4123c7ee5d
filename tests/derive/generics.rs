//! Types with parameters.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use socket_ipc::Topic;

use super::{decode, listen, message_is};

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
