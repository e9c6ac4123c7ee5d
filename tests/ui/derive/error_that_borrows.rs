use socket_ipc::Topic;

struct SubmitError<'m>(&'m str);

#[derive(Topic)]
#[topic(name = "submit", reply = u64, error = SubmitError<'m>)]
struct Submit<'m>(&'m str);

fn main() {}
