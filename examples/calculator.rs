//! Requests and replies: a server that calculates and a client that requests results, in one process. It ends by itself.
//!
//! ```text
//! cargo run --example calculator
//! ```
//!
//! It shows a reply, an error of a type of its own, a request that is cancelled, three hundred requests at once, and the
//! server requesting something of its client.

use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, RequestError, Server, Topic, handlers};

struct Calculator;

/// Each method responds to the request that its argument is.
#[handlers]
impl Calculator {
    fn add(&self, Add { left, right }: Add) -> i64 {
        left + right
    }

    fn divide(&self, Divide { dividend, divisor }: Divide) -> Result<i64, DivideError> {
        dividend.checked_div(divisor).ok_or(DivideError::ByZero { dividend })
    }

    /// The smaller the number, the longer it takes. The replies are sent as they are ready, and delay nothing else.
    async fn square(&self, Square(number): Square) -> u64 {
        tokio::time::sleep(Duration::from_millis(300_u64.saturating_sub(number))).await;
        number * number
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("calculator.sock");

    // One process replies. The library sends what a method returns back to the requester.
    let server = Server::new(&path);
    server.attach(Calculator)?;
    server.listen().await?;

    // Another process requests, or here the same. It replies, too.
    let client = Client::new(&path);
    client.respond::<WhoAreYou>(|WhoAreYou| "crussell52".to_owned())?;
    client.connect().await?;

    println!("client: 2 + 3 = {}", client.request(&Add { left: 2, right: 3 }).await?);

    // The responder's error arrives as the type that it is.
    match client.request(&Divide { dividend: 1, divisor: 0 }).await {
        Err(RequestError::Failed { error: DivideError::ByZero { dividend }, .. }) => {
            println!("client: {dividend} can't be divided by zero");
        }
        Err(error) => return Err(error.into()),
        Ok(quotient) => println!("client: 1 / 0 = {quotient}, who would have thought"),
    }

    // A request that takes too long is cancelled: its responder is dropped.
    match client.request(&Square(0)).timeout(Duration::from_millis(10)).await {
        Ok(square) => println!("client: the square of 0 is {square}, sooner than expected"),
        Err(error) => println!("client: {error}"),
    }

    // A request is sent at the call, and its reply awaited when it suits. A later request may be replied to sooner.
    let replies: Vec<_> = (1..=300).map(|number| client.request(&Square(number))).collect();
    let sum = client.request(&Add { left: 20, right: 22 }).await?;
    println!("client: {} squares are pending; meanwhile, 20 + 22 = {sum}", replies.len());
    let mut total = 0;
    for reply in replies {
        total += reply.await?;
    }
    println!("client: the squares of 1 to 300 add up to {total}");

    // The server requests in the same way, and says of which client.
    for client_id in server.clients() {
        let name = server.request(&WhoAreYou, client_id).await?;
        println!("server: client {client_id} is {name}");
    }

    client.close().await;
    server.close().await;
    Ok(())
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = i64)]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "divide", reply = i64, error = DivideError)]
struct Divide {
    dividend: i64,
    divisor: i64,
}

#[derive(Serialize, Deserialize, Debug, thiserror::Error)]
enum DivideError {
    #[error("{dividend} can't be divided by zero")]
    ByZero { dividend: i64 },
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "square", reply = u64)]
struct Square(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "who are you", reply = String)]
struct WhoAreYou;
