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
