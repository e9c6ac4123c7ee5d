use socket_ipc::Topic;

#[derive(Topic)]
#[topic = "hello"]
struct Hello<'a, 'b: 'a> {
    name: &'a str,
    text: &'a &'b str,
}

fn listen<T: Topic>(_listener: impl for<'m> Fn(T::Message<'m>)) {}

fn main() {
    listen::<Hello>(|msg| println!("{} {}", msg.name, msg.text));
}
