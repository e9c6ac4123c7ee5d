//! Enums with a variant for each of several topics.

#![allow(dead_code, reason = "only the derive reads the fields")]

use serde::{Deserialize, Serialize};
use socket_ipc::{AnyTopic, Client, Protocol, SetToClient, SetToServer, Topic, TopicSet};

#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "samples"]
struct Samples<T>(Vec<T>);

mod inner {
    #[derive(socket_ipc::Topic, serde::Serialize, serde::Deserialize)]
    #[topic(name = "add", reply = i64)]
    pub(super) struct Add;
}

#[derive(TopicSet)]
enum Every {
    News(News),
    Floats(Samples<f32>),
    r#Add(inner::Add),
}

#[derive(socket_ipc::TopicSet)]
#[topic_set(crate = "crate::renamed::reexport::ipc")]
enum ByPath {
    News(News),
}

macro_rules! set {
    ($name:ident, $($variant:ident($topic:ty)),*) => {
        #[derive(TopicSet)]
        enum $name {
            $($variant($topic)),*
        }
    };
}
set!(FromMacro, One(News), Two(Samples<u8>));

#[derive(Protocol)]
#[protocol(to_server(News, Samples<f32>, inner::Add), to_client(News, Samples<u8>))]
struct Talk;

fn both_ways<P, S: TopicSet + SetToServer<P> + SetToClient<P>>() {}

#[test]
fn derive_sets_travel_as_their_topics_do() {
    fn to_server<P, S: SetToServer<P>>() {}
    fn to_client<P, S: SetToClient<P>>() {}
    to_server::<Talk, Every>();
    to_client::<Talk, FromMacro>();
    both_ways::<Talk, ByPath>();
    both_ways::<Talk, News>();
    both_ways::<AnyTopic, Every>();
    let client = Client::new("/tmp/never.sock");
    let _ = (client.subscribe::<Every>(), client.subscribe::<FromMacro>(), client.events::<ByPath>());
}

#[test]
fn derive_set_in_a_function_compiles() {
    #[derive(Topic, Serialize, Deserialize)]
    #[topic = "local"]
    struct Local;

    #[derive(TopicSet)]
    enum LocalSet {
        Local(Local),
    }
    both_ways::<AnyTopic, LocalSet>();
}
