//! The server that all clients converse with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, Stream, StreamExt};
use serde_json::value::RawValue;
use socket_ipc::{ErrorReply, Protocol, RequestError, Server, ServerHandle, Wire};
use tokio::sync::watch;

use super::Result;
use super::protocol::*;

/// What the server notes, by the keys of its clients.
#[derive(Default)]
struct Notes {
    dropped: watch::Sender<BTreeSet<String>>,
    made: Mutex<BTreeMap<String, u32>>,
}

/// Notes that what holds it was dropped.
struct Guard(Arc<Notes>, String);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|dropped| {
            dropped.insert(self.1.clone());
        });
    }
}

/// Listens, and serves until it is killed.
pub(crate) async fn serve(path: &Path, wire: Wire) -> Result {
    let server = Suite::server(path).wire(wire).describe_as(Suite::schema()).build();
    let notes = Arc::new(Notes::default());
    messages(&server)?;
    requests(&server)?;
    failures(&server)?;
    values(&server)?;
    cancellation(&server, &notes)?;
    if wire == Wire::JSON_LINES {
        streams(&server, &notes)?;
    }
    server.listen().await?;
    println!("listening");
    std::future::pending().await
}

fn messages(server: &Server<Suite>) -> Result {
    let counts = server.per_client(|_| Mutex::new(Count { count: 0, in_order: true }));
    let counting = counts.clone();
    server.on::<Number>(move |Number { n }, client_id| {
        if let Some(count) = counting.get(client_id) {
            let mut count = count.lock().unwrap();
            count.in_order &= n == count.count;
            count.count += 1;
        }
    });
    server.respond::<Counted>(move |Counted, client_id| {
        counts.get(client_id).map_or(Count { count: 0, in_order: false }, |count| *count.lock().unwrap())
    })?;
    let handle = server.handle();
    server.respond_async::<Burst>(move |Burst { count }, client_id| {
        let handle = handle.clone();
        async move {
            for n in 0..u32::try_from(count).unwrap_or(u32::MAX) {
                handle.send_async(&Tick { n }, client_id).await?;
            }
            Ok::<_, socket_ipc::SendError>(count)
        }
    })?;
    let handle = server.handle();
    server.respond::<Announce>(move |Announce { text }, _| handle.broadcast(&News { text }).map(drop))?;
    Ok(())
}

fn requests(server: &Server<Suite>) -> Result {
    server.respond::<Add>(|Add { left, right }, _| {
        left.checked_add(right).ok_or_else(|| ErrorReply::new("too_much", "it can't be added"))
    })?;
    let handle = server.handle();
    server.respond_async::<AskBack>(move |AskBack { count }, client_id| {
        let doubles = (0..count).map(|n| handle.request(&Double { n }, client_id)).collect::<Vec<_>>();
        async move {
            let doubles = join_all(doubles).await.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok::<u32, RequestError>(doubles.into_iter().sum())
        }
    })?;
    let handle = server.handle();
    server.respond_async::<TryClient>(move |TryClient, client_id| {
        let request = handle.request(&ClientSubmit { command: "boil".to_owned() }, client_id);
        async move {
            match request.await {
                Ok(Submitted { id }) => Outcome::Replied { id },
                Err(RequestError::Failed { error, text, .. }) => Outcome::Failed { error, text },
                Err(RequestError::NoResponder { .. }) => Outcome::NoResponder,
                Err(error) => Outcome::Other { text: error.to_string() },
            }
        }
    })?;
    let handle = server.handle();
    server.respond_async::<CancelClient>(move |CancelClient, client_id| {
        let request = handle.request(&Wait, client_id).timeout(Duration::from_millis(50));
        async move {
            match request.await {
                Err(RequestError::Timeout { .. }) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        }
    })?;
    Ok(())
}

fn failures(server: &Server<Suite>) -> Result {
    server.respond::<Submit>(|Submit { command }, _| match command.as_str() {
        "bake" => Ok(Submitted { id: 1 }),
        _ => Err(SubmitError::QueueFull { max: 100 }),
    })?;
    server.respond::<Divide>(|Divide { dividend, divisor }, _| {
        dividend
            .checked_div(divisor)
            .ok_or_else(|| ErrorReply::new("no_quotient", "it can't be divided by that"))
    })?;
    server.respond::<Panics>(|Panics, _| -> () { std::panic::resume_unwind(Box::new("on purpose")) })?;
    Ok(())
}

fn values(server: &Server<Suite>) -> Result {
    server.respond::<Big>(|Big { text }, _| text)?;
    server.respond::<Echo>(|Echo { value }, _| value)?;
    server.respond::<Values>(|Values, _| {
        serde_json::from_str::<BTreeMap<_, _>>(include_str!("../../foreign/clients/values.json"))
    })?;
    server.respond::<Digits>(|Digits { integer }, _| integer.to_string())?;
    server.respond::<Integer>(|Integer { digits }, _| digits.parse::<i128>())?;
    let handle: ServerHandle<Suite> = server.handle();
    server.respond::<LoneSurrogate>(move |LoneSurrogate, client_id| {
        let text = RawValue::from_string(r#""\udc00""#.to_owned()).map_err(|error| error.to_string())?;
        handle.send_raw("text", &text, client_id).map_err(|error| error.to_string())
    })?;
    Ok(())
}

fn cancellation(server: &Server<Suite>, notes: &Arc<Notes>) -> Result {
    let noting = Arc::clone(notes);
    server.respond_async::<Hang>(move |Hang { key }, _| {
        let guard = Guard(Arc::clone(&noting), key);
        async move {
            std::future::pending::<()>().await;
            drop(guard);
        }
    })?;
    let notes = Arc::clone(notes);
    server.respond_async::<Dropped>(move |Dropped { key }, _| {
        let mut dropped = notes.dropped.subscribe();
        async move { dropped.wait_for(|dropped| dropped.contains(&key)).await.map(drop) }
    })?;
    Ok(())
}

fn streams(server: &Server<Suite>, notes: &Arc<Notes>) -> Result {
    let noting = Arc::clone(notes);
    server.respond_stream::<Numbers>(move |Numbers { key, count, fails }, _| {
        let notes = Arc::clone(&noting);
        let numbers = (0..count).map(move |n| {
            *notes.made.lock().unwrap().entry(key.clone()).or_default() += 1;
            Ok(Number { n: n.into() })
        });
        stream::iter(numbers.chain(fails.then_some(Err(NumbersError::Stopped { at: count }))))
    })?;
    let noting = Arc::clone(notes);
    server.respond::<Progress>(move |Progress { key }, _| {
        noting.made.lock().unwrap().get(&key).copied().unwrap_or_default()
    })?;
    let notes = Arc::clone(notes);
    server.respond_stream::<Endless>(move |Endless { key }, _| endless(Guard(Arc::clone(&notes), key)))?;
    Ok(())
}

fn endless(guard: Guard) -> impl Stream<Item = String> {
    stream::once(async { "the only item".to_owned() }).chain(stream::pending()).map(move |item| {
        let _held = &guard;
        item
    })
}
