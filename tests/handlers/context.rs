//! What a method gets beside its message.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use socket_ipc::{ClientContext, Context, ErrorReply, Protocol, Topic, handlers};
use support::{Events, soon};

use super::connected;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note(String);

/// A request whose responder starts a task, and waits for ever, or returns.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "work", reply = ())]
struct Work {
    for_ever: bool,
}

#[derive(Protocol)]
#[protocol(to_server(Note, Work), to_client(Note, Work))]
struct Chat;

struct Desk<R>(R);

fn is_static_clone_and_send<C: Clone + Send + Sync + 'static>(context: C) -> C {
    context.clone()
}

#[handlers(server = Chat)]
impl<R: Fn(String) + Clone + Send + Sync + 'static> Desk<R> {
    fn note(&self, Note(text): Note, context: Context<'_, Chat>) {
        let peer = context.peer().unwrap();
        assert_eq!(peer, context.server().peer(context.client_id()).unwrap());
        context.send(&Note(format!("{text} of {}", context.client_id()))).unwrap();
        let (context, report) = (context.into_owned(), self.0.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = context.cancelled() => report(format!("{} has gone", context.client_id())),
                () = context.closing() => report("closing".to_owned()),
            }
        });
    }

    async fn work(&self, work: Work, context: Context<'static, Chat>) -> Result<(), ErrorReply> {
        let (context, report) = (is_static_clone_and_send(context), self.0.clone());
        let (started, begun) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            report("begun".to_owned());
            started.send(()).unwrap();
            context.cancelled().await;
            report("cancelled".to_owned());
        });
        begun.await?;
        if work.for_ever {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

struct Screen<R>(R, Mutex<Option<ClientContext<'static, Chat>>>);

#[handlers(client = Chat)]
impl<R: Fn(String) + Clone + Send + Sync + 'static> Screen<R> {
    fn note(&self, Note(text): Note, context: ClientContext<'_, Chat>) {
        (self.0)(text);
        *self.1.lock().unwrap() = Some(is_static_clone_and_send(context.into_owned()));
    }

    async fn work(&self, work: Work, context: ClientContext<'_, Chat>) {
        if work.for_ever {
            context.closing().await;
        }
        let (context, report) = (context.into_owned(), self.0.clone());
        tokio::spawn(async move {
            context.cancelled().await;
            report("cancelled".to_owned());
        });
    }
}

support::both_flavours! {
    async fn context_names_client_and_peer_and_sends_to_it() {
        let (seen, mut shown) = (Events::new(), Events::new());
        let (_place, _server, client) = connected::<Chat>(|server, client| {
            server.attach(Desk(seen.reporter())).unwrap();
            client.attach(Screen(shown.reporter(), None.into())).unwrap();
        }).await;
        client.send(&Note("hello".into())).unwrap();
        assert_eq!(shown.next().await, "hello of 1");
    }

    async fn context_cancelled_resolves_with_the_method_or_its_requester() {
        let mut events = Events::new();
        let (_place, _server, client) = connected::<Chat>(|server, _| {
            server.attach(Desk(events.reporter())).unwrap();
        }).await;
        // The method returns.
        soon("the reply", client.request(&Work { for_ever: false })).await.unwrap();
        assert_eq!(events.take(2).await, ["begun", "cancelled"]);
        // The requester gives up.
        let work = client.request(&Work { for_ever: true });
        assert_eq!(events.next().await, "begun");
        drop(work);
        assert_eq!(events.next().await, "cancelled");
        // The connection ends.
        let work = client.request(&Work { for_ever: true });
        assert_eq!(events.next().await, "begun");
        drop(client);
        assert_eq!(events.next().await, "cancelled");
        drop(work);
    }

    async fn context_of_a_message_is_cancelled_with_its_connection() {
        let mut events = Events::new();
        let (_place, server, client) = connected::<Chat>(|server, _| {
            server.attach(Desk(events.reporter())).unwrap();
        }).await;
        client.send(&Note("hello".into())).unwrap();
        client.flush().await.unwrap();
        soon("the message", async {
            while server.stats().topics.iter().all(|topic| topic.topic != "note" || topic.received.messages == 0) {
                tokio::task::yield_now().await;
            }
        }).await;
        client.close().await;
        assert_eq!(events.next().await, "1 has gone");
    }

    async fn closing_resolves_for_a_method_that_waits_and_ends_the_drain() {
        let (seen, mut shown) = (Events::new(), Events::new());
        let (_place, server, client) = connected::<Chat>(|server, client| {
            server.attach(Desk(seen.reporter())).unwrap();
            client.attach(Screen(shown.reporter(), None.into())).unwrap();
        }).await;
        let id = server.clients()[0];
        let work = server.request(&Work { for_ever: true }, id);
        client.send(&Note("the work has begun".into())).unwrap();
        assert_eq!(shown.next().await, "the work has begun of 1");
        // Its method returns by it, long before the drain.
        soon("the close", client.close()).await;
        drop(work);
        let closing = server.handle();
        let closing = tokio::spawn(async move { closing.closing().await });
        soon("the close", server.close()).await;
        soon("the task", closing).await.unwrap();
        soon("a closed server", server.closing()).await;
    }
}
