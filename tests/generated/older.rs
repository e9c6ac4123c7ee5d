//! The table of schema changes in the chapter on languages: clients of an older server at a newer one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, RequestError, Topic};
use support::foreign::{is_here, skip};
use support::{Place, soon};
use tokio::process::Command;

#[derive(JsonSchema, Serialize, Deserialize)]
struct Short {
    minutes: u32,
}

#[derive(JsonSchema, Serialize, Deserialize)]
struct Long {
    minutes: u32,
    by: String,
}

/// A version of the server: one reply has a field more in the newer one, the other a field less.
macro_rules! version {
    ($version:ident, $grown:ident, $shrunk:ident) => {
        mod $version {
            use super::*;

            #[derive(Topic, JsonSchema, Serialize, Deserialize)]
            #[topic(name = "grown", reply = $grown)]
            pub(super) struct Grown;

            #[derive(Topic, JsonSchema, Serialize, Deserialize)]
            #[topic(name = "shrunk", reply = $shrunk)]
            pub(super) struct Shrunk;

            #[derive(Protocol)]
            #[protocol(to_server(Grown, Shrunk))]
            pub(super) struct Bakery;
        }
    };
}

version!(older, Short, Long);
version!(newer, Long, Short);

const PROGRAM: &str = r#"
import asyncio
import sys

from older import Client


async def main() -> None:
    async with Client(sys.argv[1]) as client:
        print((await client.request("grown"))["minutes"])
        shrunk = await client.request("shrunk")
        print(shrunk["minutes"])
        try:
            print(shrunk["by"])
        except KeyError as error:
            print("KeyError", error)


asyncio.run(main())
"#;

#[test]
fn older_client_ignores_added_field_and_misses_removed_one() {
    support::run(tokio::runtime::Builder::new_current_thread(), async {
        let place = Place::new();
        let server = newer::Bakery::server(place.socket()).build();
        server.respond::<newer::Grown>(|_, _| Long { minutes: 5, by: "hand".to_owned() }).unwrap();
        server.respond::<newer::Shrunk>(|_, _| Short { minutes: 7 }).unwrap();
        server.listen().await.unwrap();

        let client = older::Bakery::client(place.socket()).build();
        soon("a connection", client.connect()).await.unwrap();
        assert_eq!(soon("a reply", client.request(&older::Grown)).await.unwrap().minutes, 5);
        let shrunk = soon("a reply", client.request(&older::Shrunk)).await;
        assert!(matches!(shrunk, Err(RequestError::ReplyUndecodable { .. })));

        if let Err(why) = is_here("python3").await {
            return skip("an older client in Python", &why);
        }
        std::fs::write(place.directory().join("older.py"), older::Bakery::schema().python_client()).unwrap();
        std::fs::write(place.directory().join("program.py"), PROGRAM).unwrap();
        let mut python = Command::new("python3");
        python.arg(place.directory().join("program.py")).arg(place.socket()).kill_on_drop(true);
        let output = soon("the end of the program", python.output()).await.unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!((&*stdout, &*stderr), ("5\n7\nKeyError 'by'\n", ""));
    });
}
