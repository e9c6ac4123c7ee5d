//! A type without the derive where a topic is asked for.

use socket_ipc::Topic;

struct Plain;

fn heard<T: Topic>() {}

fn main() {
    heard::<Plain>();
}
