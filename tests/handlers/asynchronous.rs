//! Methods that wait, and generic structs.

use std::fmt::Display;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use socket_ipc::{ClientContext, Context, Protocol, RequestError, Topic, handlers};
use support::{Events, soon};
use tokio::sync::Notify;

use super::connected;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note(String);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = Submitted, error = SubmitError)]
struct Submit {
    command: String,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Submitted {
    id: u64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
enum SubmitError {
    Empty,
    NoNumber(String),
}

impl From<std::num::ParseIntError> for SubmitError {
    fn from(error: std::num::ParseIntError) -> Self {
        Self::NoNumber(error.to_string())
    }
}

/// Waits until it is told to go on.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

#[derive(Protocol)]
#[protocol(to_server(Note, Submit, Wait), to_client(Note, Submit))]
struct Jobs;

/// Reports what it receives, and each report begins with `prefix`.
struct Desk<T, R>
where
    T: Display,
{
    prefix: T,
    report: R,
    go_on: Notify,
}

#[handlers(server = Jobs)]
impl<T, R> Desk<T, R>
where
    T: Display + Send + Sync + 'static,
    R: Fn(String) + Send + Sync + 'static,
{
    /// Does not reach its end at once.
    async fn note(&self, Note(text): Note, context: Context<'_, Jobs>) {
        tokio::task::yield_now().await;
        (self.report)(format!("{} {text} of {}", self.prefix, context.client_id()));
        context.send(&Note(format!("noted {text}"))).unwrap();
    }

    async fn submit(&self, submit: Submit) -> Result<Submitted, SubmitError> {
        if submit.command.is_empty() {
            return Err(SubmitError::Empty);
        }
        tokio::task::yield_now().await;
        let id = submit.command.parse()?;
        Ok(Submitted { id })
    }

    async fn wait(&self, _: Wait) {
        (self.report)("waiting".to_owned());
        self.go_on.notified().await;
    }
}

/// What a client received.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

#[handlers(client = Jobs)]
impl Notes {
    async fn note(&self, Note(text): Note, context: ClientContext<'_, Jobs>) {
        tokio::task::yield_now().await;
        assert!(context.client().is_connected());
        self.0.lock().unwrap().push(text);
    }

    async fn submit(
        &self,
        submit: Submit,
        _: ClientContext<'static, Jobs>,
    ) -> Result<Submitted, SubmitError> {
        tokio::task::yield_now().await;
        let id = submit.command.parse()?;
        Ok(Submitted { id })
    }
}

fn submit(command: &str) -> Submit {
    Submit { command: command.to_owned() }
}

support::both_flavours! {
    async fn asynchronous_methods_of_a_generic_struct_listen_and_respond() {
        let mut events = Events::new();
        let desk = Desk { prefix: 7, report: events.reporter(), go_on: Notify::new() };
        let notes = std::sync::Arc::new(Notes::default());
        let (_place, server, client) = connected::<Jobs>(|server, client| {
            server.attach(desk).unwrap();
            client.attach(std::sync::Arc::clone(&notes)).unwrap();
        }).await;
        client.send(&Note("one".into())).unwrap();
        client.send(&Note("two".into())).unwrap();
        assert_eq!(events.take(2).await, ["7 one of 1", "7 two of 1"], "one after the other, in order");
        assert_eq!(soon("a reply", client.request(&submit("5"))).await.unwrap(), Submitted { id: 5 });
        let error = soon("a reply", client.request(&submit(""))).await.unwrap_err();
        assert!(matches!(error, RequestError::Failed { error: SubmitError::Empty, .. }), "{error:?}");
        let error = soon("a reply", client.request(&submit("x"))).await.unwrap_err();
        assert!(matches!(error, RequestError::Failed { error: SubmitError::NoNumber(_), .. }), "{error:?}");
        let id = server.clients()[0];
        assert_eq!(soon("a reply", server.request(&submit("6"), id)).await.unwrap(), Submitted { id: 6 });
        assert_eq!(*notes.0.lock().unwrap(), ["noted one", "noted two"]);
    }

    async fn asynchronous_responder_waits_other_messages_are_dispatched() {
        let mut events = Events::new();
        let desk = std::sync::Arc::new(Desk { prefix: 'n', report: events.reporter(), go_on: Notify::new() });
        let (_place, _server, client) = connected::<Jobs>(|server, _| {
            server.attach(std::sync::Arc::clone(&desk)).unwrap();
        }).await;
        let waiting = client.request(&Wait);
        assert_eq!(events.next().await, "waiting");
        client.send(&Note("meanwhile".into())).unwrap();
        assert_eq!(events.next().await, "n meanwhile of 1");
        desk.go_on.notify_one();
        soon("the reply", waiting).await.unwrap();
    }
}
