//! No attribute at all. Uses of the type are not reported as well.

use socket_ipc::Topic;

#[derive(Topic)]
struct Hello {
    name: String,
}

fn listen<T: Topic>(_listener: impl for<'m> Fn(T::Message<'m>)) {}

fn main() {
    listen::<Hello>(|msg| println!("{} {}", msg.name, Hello::NAME));
}
