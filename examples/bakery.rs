//! A bakery, and a customer: one server for clients in several languages. The chapter on languages has the same customer
//! in TypeScript, in Python and in a shell.
//!
//! ```text
//! cargo run --example bakery -- serve /tmp/bakery.sock
//! cargo run --example bakery -- order /tmp/bakery.sock
//! ```

use futures::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket_ipc::{Protocol, RequestError, Topic};

/// An order of loaves.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "bake", reply = Baked, error = BakeError)]
struct Bake {
    loaves: u32,
}

#[derive(JsonSchema, Serialize, Deserialize)]
struct Baked {
    /// How long it took.
    minutes: u32,
}

#[derive(JsonSchema, Serialize, Deserialize, Debug, thiserror::Error)]
enum BakeError {
    #[error("the oven holds {room} loaves")]
    OvenFull { room: u32 },
}

/// What the oven shows, minute by minute.
#[derive(Topic, JsonSchema, Serialize, Deserialize)]
#[topic(name = "watch", stream = u32)]
struct Watch {
    minutes: u32,
}

#[derive(Protocol)]
#[protocol(to_server(Bake, Watch))]
struct Bakery;

async fn serve(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let server = Bakery::server(path).describe_as(Bakery::schema()).build();
    server.respond::<Bake>(|Bake { loaves }, _client_id| match loaves {
        0..=12 => Ok(Baked { minutes: 5 * loaves }),
        _ => Err(BakeError::OvenFull { room: 12 }),
    })?;
    server.respond_stream::<Watch>(|Watch { minutes }, _client_id| stream::iter((0..minutes).rev()))?;
    server.listen_until(socket_ipc::shutdown_signal()).await?;
    Ok(())
}

async fn order(path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Bakery::client(path).build();
    client.connect().await?;
    let baked = client.request(&Bake { loaves: 7 }).await?;
    println!("7 loaves took {} minutes", baked.minutes);
    match client.request(&Bake { loaves: 100 }).await {
        Err(RequestError::Failed { error: BakeError::OvenFull { room }, .. }) => println!("room for {room}"),
        other => println!("{} minutes", other?.minutes),
    }
    let mut minutes = client.request_stream(&Watch { minutes: 3 });
    while let Some(minute) = minutes.next().await {
        println!("{}", minute?);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", path] => serve(path).await,
        ["order", path] => order(path).await,
        _ => Err("usage: bakery serve SOCKET, or bakery order SOCKET".into()),
    }
}
