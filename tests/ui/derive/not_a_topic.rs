//! A type without the derive where a topic is required.

use socket_ipc::Topic;

struct Plain;

fn listen<T: Topic>() {}

fn main() {
    listen::<Plain>();
}
