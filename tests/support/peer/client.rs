//! A client that reconnects, and one that sends many messages.

use std::sync::Arc;
use std::time::Duration;

use socket_ipc::Client;
use tokio::io::{BufReader, Lines, Stdin};

use super::{Block, Note, Ping, Pong, Result, Square, say, squared, streams, waits};

/// Connects and reconnects, replies to requests, and prints its events. The line `ping N` sends a ping, `request N`
/// sends N requests and reads no reply, `waits N` sends N that never get one, `streams N` requests N streams and reads
/// none.
pub(super) async fn client(path: &str, mut input: Lines<BufReader<Stdin>>) -> Result {
    let client = Client::builder(path).retry_delay(Duration::from_millis(20)).max_requests(10_000).build();
    client.on_connect(|| say("connect"));
    client.on_reconnect(|| say("reconnect"));
    client.on_disconnect(|reason| say(format_args!("disconnect {:?}", reason.cause)));
    client.on::<Pong>(|Pong(number)| say(format_args!("pong {number}")));
    client.on::<Block>(|block| say(format_args!("block {} {}", block.number, block.text.len())));
    client.respond_async::<Square>(squared)?;
    waits::respond(&client)?;
    client.connect().await?;
    let (mut unread, mut waiting, mut replies) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(line) = input.next_line().await? {
        if let Some(count) = line.strip_prefix("streams ") {
            unread.append(&mut streams::request(&client, count.parse()?).await?);
        }
        if let Some(number) = line.strip_prefix("ping ")
            && let Err(error) = client.send(&Ping(number.parse()?))
        {
            say(error);
        }
        if let Some(count) = line.strip_prefix("waits ") {
            waiting.append(&mut waits::request(&client, count.parse()?).await?);
        }
        if let Some(count) = line.strip_prefix("request ") {
            // Kept: a request whose reply nobody waits for is cancelled.
            replies.extend((0..count.parse()?).map(|number| client.request(&Square(number))));
            client.flush().await?;
            say("requested");
        }
    }
    client.close().await;
    Ok(())
}

/// Sends `count` pings, requests or notes to a server: the next ping when the pong of the one before arrives, the next
/// request when its reply has, and the notes as fast as it takes them.
pub(super) async fn traffic(path: &str, kind: &str, count: u64) -> Result {
    let client = Client::new(path);
    let (again, ended) = (client.handle(), Arc::new(tokio::sync::Notify::new()));
    let end = Arc::clone(&ended);
    client.on::<Pong>(move |Pong(number)| {
        if number == count {
            end.notify_one();
        } else {
            again.send(&Ping(number + 1)).unwrap_or_else(say);
        }
    });
    client.connect().await?;
    let (client, kind) = (Arc::new(client), kind.to_owned());
    let sending = Arc::clone(&client);
    // In a task, as in most programs: on the threads of the runtime.
    tokio::spawn(async move {
        match kind.as_str() {
            "pings" => {
                sending.send(&Ping(1)).unwrap_or_else(say);
                ended.notified().await;
            }
            "notes" => {
                for number in 0..count {
                    sending.send_async(&Note(number)).await.unwrap_or_else(say);
                }
                // Until the server has received them all.
                sending.request_raw("echo", &0).await.map_or_else(say, drop);
            }
            _ => {
                for number in 0..count {
                    sending.request_raw("echo", &number).await.map_or_else(say, drop);
                }
            }
        }
    })
    .await?;
    client.close().await;
    Ok(())
}
