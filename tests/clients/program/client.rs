//! The client in Rust: it shows each behaviour, and prints what it saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use socket_ipc::{
    Client, ClientConnectionEvent, ConnectError, Description, Protocol, RequestError, SendError,
};
use tokio::sync::mpsc;

use super::Result;
use super::protocol::*;

pub(crate) async fn run(path: &str) -> Result {
    println!("{}", json!({"peer": format!("socket-ipc {} in Rust", Description::new().version)}));
    // It waits for a name only while no client is there.
    for behaviour in std::io::stdin().lines() {
        let behaviour = behaviour?;
        let saw = match &*behaviour {
            "messages" => messages(path).await,
            "requests" => requests(path).await,
            "errors" => errors(path).await,
            "streams" => streams(path).await,
            "cancellation" => cancellation(path).await,
            "restart" => restart(path).await,
            "big" => big(path).await,
            "values" => values(path).await,
            "surrogates" => surrogates(path).await,
            "line separators" => line_separators(path).await,
            "integers" => integers(path).await,
            "absent" => absent(path).await,
            "wrong wire" => wrong_wire(path).await,
            _ => Err(format!("unknown behaviour: {behaviour}").into()),
        };
        println!(
            "{}",
            json!({"behaviour": behaviour, "saw": saw.unwrap_or_else(|error| json!(error.to_string()))})
        );
    }
    Ok(())
}

async fn connected(path: &str) -> Result<Client<Suite>> {
    let client = Suite::client(path).build();
    client.connect_within(Duration::from_secs(10)).await?;
    Ok(client)
}

/// What the suite calls an error.
fn name<E>(error: &RequestError<E>) -> &'static str {
    match error {
        RequestError::Send(SendError::NotConnected { .. }) => "not_connected",
        RequestError::Send(SendError::TooLarge { .. }) => "too_large",
        RequestError::Timeout { .. } => "timeout",
        RequestError::ConnectionLost { .. } => "connection_lost",
        RequestError::NoResponder { .. } => "no_responder",
        RequestError::RequestUndecodable { .. } => "undecodable",
        RequestError::ResponderPanicked { .. } => "panicked",
        RequestError::Failed { .. } => "failed",
        RequestError::Rejected { .. } => "rejected",
        _ => "another error",
    }
}

fn name_of<T, E>(result: &Result<T, RequestError<E>>) -> &'static str {
    result.as_ref().map_or_else(name, |_| "a reply")
}

async fn messages(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    for n in 0..10_000 {
        client.send_async(&Number { n }).await?;
    }
    let sent = client.request(&Counted).await?;
    let (next, in_order) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counting, ordered) = (Arc::clone(&next), Arc::clone(&in_order));
    client.on::<Tick>(move |Tick { n }| {
        ordered.fetch_add(u32::from(counting.fetch_add(1, Ordering::Relaxed) == n), Ordering::Relaxed);
    });
    client.request(&Burst { count: 10_000 }).await?;
    let [count, in_order] = [next, in_order].map(|number| number.load(Ordering::Relaxed));
    Ok(json!({"sent": sent, "received": {"count": count, "in_order": in_order == count}}))
}

async fn requests(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let sums = join_all((0..1_000).map(|left| client.request(&Add { left, right: 1 }))).await;
    let right =
        (1..).zip(sums).filter(|(expected, sum)| sum.as_ref().is_ok_and(|sum| sum == expected)).count();
    client.respond::<Double>(|Double { n }| 2 * n)?;
    let asked_back = client.request(&AskBack { count: 100 }).await?;
    let mut news = client.subscribe::<News>();
    client.request(&Announce { text: "hello, all".to_owned() }).await?;
    let News { text } = news.next().await.ok_or("no news")?;
    Ok(json!({"sums": right, "asked_back": asked_back, "news": text}))
}

async fn errors(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let Err(RequestError::Failed { error, text, .. }) =
        client.request(&Submit { command: "boil".to_owned() }).await
    else {
        return Err("no typed error".into());
    };
    let Err(RequestError::Rejected { reply, .. }) = client.request(&Divide { dividend: 1, divisor: 0 }).await
    else {
        return Err("not rejected".into());
    };
    let no_responder = client.request(&Nobody).await;
    let undecodable = client.request_raw("add", &"no numbers").await;
    let panicked = client.request(&Panics).await;
    let timeout = client.request(&Hang { key: String::new() }).timeout(Duration::from_millis(50)).await;
    let without = client.request(&TryClient).await?;
    client.respond::<ClientSubmit>(|ClientSubmit { .. }| {
        Err::<Submitted, _>(SubmitError::QueueFull { max: 7 })
    })?;
    let with = client.request(&TryClient).await?;
    Ok(json!({
        "failed": error, "text": text, "rejected": [reply.code(), reply.text()],
        "others": [name_of(&no_responder), name_of(&undecodable), name_of(&panicked), name_of(&timeout)],
        "client": [without, with],
    }))
}

async fn streams(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let numbers = |key: &str| {
        client.request_stream(&Numbers { key: key.to_owned(), count: 1_000, fails: false }).window(4096)
    };
    let mut slow = numbers("slow in Rust");
    let first = slow.next().await.ok_or("no first item")??;
    let read = |key: String| {
        let mut numbers = numbers(&key);
        async move {
            let (mut count, mut in_order) = (0, true);
            while let Some(Number { n }) = numbers.next().await.transpose()? {
                in_order &= n == count;
                count += 1;
            }
            Ok::<_, RequestError<NumbersError>>((count, in_order))
        }
    };
    let mut read_of_all = Vec::new();
    for read in join_all((1..100).map(|number| read(format!("{number}")))).await {
        read_of_all.push(read?);
    }
    let made = client.request(&Progress { key: "slow in Rust".to_owned() }).await?;
    let (mut count, mut in_order) = (1, first.n == 0);
    while let Some(Number { n }) = slow.next().await.transpose()? {
        in_order &= n == count;
        count += 1;
    }
    read_of_all.push((count, in_order));
    let mut failing = client.request_stream(&Numbers { key: String::new(), count: 3, fails: true });
    let (mut before, mut failed) = (0, Value::Null);
    while let Some(item) = failing.next().await {
        match item {
            Ok(_) => before += 1,
            Err(RequestError::Failed { error, .. }) => failed = json!(error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(json!({
        "streams": read_of_all.len(), "items": read_of_all.iter().map(|(count, _)| count).sum::<u64>(),
        "in_order": read_of_all.iter().all(|(_, in_order)| *in_order),
        "slow_was_held": made < 500, "failed": failed, "items_before": before,
    }))
}

async fn cancellation(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let key = |of: &str| format!("{of} in Rust");
    // Another request behind it: when that has its reply, the first has begun.
    let request = client.request(&Hang { key: key("request") });
    client.request(&Counted).await?;
    drop(request);
    client.request(&Dropped { key: key("request") }).await?;
    let timed_out = client.request(&Hang { key: key("timeout") }).timeout(Duration::from_millis(50)).await;
    client.request(&Dropped { key: key("timeout") }).await?;
    let mut stream = client.request_stream(&Endless { key: key("stream") });
    let item = stream.next().await.ok_or("no item")??;
    drop(stream);
    client.request(&Dropped { key: key("stream") }).await?;

    struct Told(mpsc::UnboundedSender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (told, mut cancelled) = mpsc::unbounded_channel();
    client.respond_async::<Wait>(move |Wait| {
        let told = Told(told.clone());
        async move {
            std::future::pending::<()>().await;
            drop(told);
        }
    })?;
    client.request(&CancelClient).await?;
    cancelled.recv().await.ok_or("not cancelled")?;
    Ok(json!({"dropped": ["request", name_of(&timed_out), "stream"], "item": item, "responder": "cancelled"}))
}

async fn restart(path: &str) -> Result<Value> {
    let client = Suite::client(format!("{path}.restart")).retry_delay(Duration::from_millis(20)).build();
    let mut events = client.connection_events();
    client.connect_within(Duration::from_secs(10)).await?;
    let mut seen = Vec::new();
    let in_flight = client.request(&Hang { key: String::new() });
    let mut stream = client.request_stream(&Endless { key: String::new() });
    let item = stream.next().await.ok_or("no item")??;
    println!("{}", json!({"ready": "restart"}));
    let in_flight = in_flight.await;
    let stream = stream.next().await.ok_or("no end")?;
    while seen.last() != Some(&"connect again") {
        match events.next().await {
            Some(ClientConnectionEvent::Connected { again: false, .. }) => seen.push("connect"),
            Some(ClientConnectionEvent::Connected { again: true, .. }) => seen.push("connect again"),
            Some(ClientConnectionEvent::Disconnected { .. }) => seen.push("disconnect"),
            Some(_) => {}
            None => return Err("no more events".into()),
        }
    }
    let sum = client.request(&Add { left: 2, right: 3 }).await?;
    Ok(json!({"item": item, "failed": [name_of(&in_flight), name_of(&stream)], "events": seen, "sum": sum}))
}

async fn big(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    // Characters of every length in UTF-8, so that some are split by what is read at once.
    let text = |len: usize| "é€😀".repeat(len / 9);
    let long = text(4 * 1024 * 1024 - 200);
    let echoed = client.request(&Big { text: long.clone() }).await?;
    let beyond = client.request(&Big { text: text(4 * 1024 * 1024 + 9) }).await;
    let sum = client.request(&Add { left: 2, right: 3 }).await?;
    Ok(json!({"bytes": echoed.len(), "same": echoed == long, "beyond": name_of(&beyond), "sum": sum}))
}

async fn values(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let mut echoed = BTreeMap::new();
    for (name, value) in client.request(&Values).await? {
        echoed.insert(name, client.request(&Echo { value }).await?);
    }
    Ok(json!(echoed))
}

async fn surrogates(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    // A text of Rust can't hold it.
    let sent = String::from_utf16(&[0xd800]).map_or("refused", |_| "sent");
    let (report, mut errors) = mpsc::unbounded_channel();
    client.on::<Text>(|Text(_)| {});
    client.on_message_error(move |error| drop(report.send(error.to_string())));
    client.request(&LoneSurrogate).await?;
    let error = errors.recv().await.ok_or("no error")?;
    let names = error.contains("surrogate");
    let sum = client.request(&Add { left: 2, right: 3 }).await?;
    Ok(json!({"sent": sent, "received": "refused", "by_name": names, "sum": sum}))
}

async fn line_separators(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let value = json!("a\u{2028}b\u{2029}c\u{85}d");
    Ok(client.request(&Echo { value }).await?)
}

async fn integers(path: &str) -> Result<Value> {
    let client = connected(path).await?;
    let mut seen = BTreeMap::new();
    for digits in [
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740992",
        "18446744073709551616",
    ] {
        let sent = client.request(&Digits { integer: digits.parse()? }).await?;
        let received = client.request(&Integer { digits: digits.to_owned() }).await?;
        seen.insert(digits, [sent, received.to_string()]);
    }
    Ok(json!(seen))
}

async fn absent(path: &str) -> Result<Value> {
    let path = format!("{path}.absent");
    let client = Suite::client(&path).retry_delay(Duration::from_millis(10)).give_up_after(3).build();
    let Err(error) = client.connect_once().await else { return Err("connected".into()) };
    let names_the_path = error.to_string().contains(&path);
    let sent = client.request(&Counted).await;
    let Err(ConnectError::GaveUp { attempts, .. }) = client.connect().await else {
        return Err("did not give up".into());
    };
    Ok(json!({"names_the_path": names_the_path, "request": name_of(&sent), "attempts": attempts}))
}

async fn wrong_wire(path: &str) -> Result<Value> {
    let client = connected(&format!("{path}.node-0.4")).await?;
    let request = client.request(&Add { left: 2, right: 3 }).timeout(Duration::from_millis(200)).await;
    Ok(json!({"request": name_of(&request)}))
}
