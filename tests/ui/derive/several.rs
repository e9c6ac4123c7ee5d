//! All mistakes of a type, and of several types, are reported at once.

use socket_ipc::Topic;

#[derive(Topic)]
#[topic(title = "hello", name = "\0", crate = 5, name = "again", reply = 7)]
#[topic = "goodbye"]
struct Hello<'a, 'b, T, U: 'static> {
    name: &'a T,
    text: &'b U,
}

#[derive(Topic)]
union Number {
    signed: i8,
    unsigned: u8,
}

fn main() {}
