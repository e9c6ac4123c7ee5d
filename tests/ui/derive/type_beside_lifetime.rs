use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
struct Hello<'a, T: Clone> {
    name: &'a T,
}

fn heard<T: Topic>(_listener: impl for<'m> Fn(T::Message<'m>)) {}

fn main() {
    heard::<Hello<u8>>(|msg| println!("{}", msg.name));
}
