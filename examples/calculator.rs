//! Requests and replies: a server that calculates and a client that sends it requests, in one process. It ends by
//! itself.
//!
//! ```text
//! cargo run --example calculator
//! ```
//!
//! It shows a request that gets its reply, one that gets an error reply, and one that times out; then three hundred
//! requests in flight at once; and last a request of the server to its client.

use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket_ipc::{Client, ErrorReply, RequestError, Server, Topic};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("calculator.sock");

    // One process replies. The library sends what a responder returns back to the requester.
    let server = Server::new(&path);
    server.respond::<Add>(|Add { left, right }, _client_id| Sum(left + right))?;
    server.respond::<Divide>(|Divide { dividend, divisor }, _client_id| {
        let quotient = dividend.checked_div(divisor).map(Quotient);
        quotient
            .ok_or_else(|| ErrorReply::new("no_quotient", format!("can't divide {dividend} by {divisor}")))
    })?;
    // The smaller the number, the longer this responder takes. Asynchronous responders run side by side, and each reply
    // is sent as soon as it is ready.
    server.respond_async::<Square>(|Square(number), _client_id| async move {
        tokio::time::sleep(Duration::from_millis(300_u64.saturating_sub(number))).await;
        Squared(number * number)
    })?;
    server.listen().await?;

    // Another process (here, the same one) sends requests. It has a responder, too.
    let client = Client::new(&path);
    client.respond::<WhoAreYou>(|WhoAreYou| Name("crussell52".into()))?;
    client.connect().await?;

    let Sum(sum) = client.request(&Add { left: 2, right: 3 }).await?;
    println!("client: 2 + 3 = {sum}");

    // An error reply has a code for programs and a text for people.
    match client.request(&Divide { dividend: 1, divisor: 0 }).await {
        Err(RequestError::Rejected { code, text, .. }) if code == "no_quotient" => println!("client: {text}"),
        Err(error) => return Err(error.into()),
        Ok(Quotient(quotient)) => println!("client: 1 / 0 = {quotient}, which is wrong"),
    }

    // A request with a timeout fails if no reply arrives within it.
    match client.request(&Square(0)).timeout(Duration::from_millis(10)).await {
        Ok(Squared(square)) => println!("client: the square of 0 is {square}, sooner than expected"),
        Err(error) => println!("client: {error}"),
    }

    // `request` sends at once; its reply may be awaited later. A later request may get its reply earlier.
    let replies: Vec<_> = (1..=300).map(|number| client.request(&Square(number))).collect();
    let Sum(sum) = client.request(&Add { left: 20, right: 22 }).await?;
    println!("client: {} requests are in flight; meanwhile, 20 + 22 = {sum}", replies.len());
    let mut total = 0;
    for reply in replies {
        let Squared(square) = reply.await?;
        total += square;
    }
    println!("client: the squares of 1 to 300 add up to {total}");

    // The server sends requests the same way, with the id of the client.
    for client_id in server.clients() {
        let Name(name) = server.request(&WhoAreYou, client_id).await?;
        println!("server: client {client_id} is {name}");
    }

    client.close().await;
    server.close().await;
    Ok(())
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "add", reply = Sum)]
struct Add {
    left: i64,
    right: i64,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "sum"]
struct Sum(i64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "divide", reply = Quotient)]
struct Divide {
    dividend: i64,
    divisor: i64,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic = "quotient"]
struct Quotient(i64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "square", reply = Squared)]
struct Square(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "squared"]
struct Squared(u64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "who are you", reply = Name)]
struct WhoAreYou;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "name"]
struct Name(String);
