use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
struct Hello<'a, T: Clone> {
    name: &'a T,
}

fn listen<T: Topic>(_listener: impl for<'m> Fn(T::Message<'m>)) {}

fn main() {
    listen::<Hello<u8>>(|msg| println!("{}", msg.name));
}
