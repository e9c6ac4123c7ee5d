//! Impls of `Handles` by hand, beside those of a block.

use serde::{Deserialize, Serialize};
use socket_ipc::{
    Attaching, Client, ClientContext, Context, ErrorReply, Handles, Protocol, RegisterError, RequestError,
    Server, Topic, handlers,
};
use support::{Events, soon};

use super::connected;

#[derive(Topic, Serialize, Deserialize)]
#[topic = "note"]
struct Note(String);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "log"]
struct Log<'m>(&'m str);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "double", reply = i64)]
struct Double(i64);

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "half", reply = i64)]
struct Half(i64);

#[derive(Protocol)]
#[protocol(to_server(Note, Log<'_>, Double, Half), to_client(Note))]
struct Numbers;

struct Desk<R>(R);

impl<R: Fn(String) + Send + Sync + 'static> Desk<R> {
    fn note(&self, Note(text): Note, context: Context<'_, Numbers>) {
        context.send(&Note(text)).unwrap();
    }

    fn log(&self, Log(text): Log<'_>) {
        (self.0)(text.to_owned());
    }

    async fn half(&self, Half(number): Half, context: &Context<'static, Numbers>) -> Result<i64, ErrorReply> {
        let client = context.client_id();
        if number % 2 == 0 {
            Ok(number / 2)
        } else {
            Err(ErrorReply::new("odd", format!("{number} of {client}")))
        }
    }
}

impl<R: Fn(String) + Send + Sync + 'static> Handles<Note, Server<Numbers>> for Desk<R> {
    fn attach(note: Attaching<'_, Self, Note, Server<Numbers>>) -> Result<(), RegisterError> {
        note.method_with_context(Self::note)
    }
}

impl<R: Fn(String) + Send + Sync + 'static> Handles<Log<'static>, Server<Numbers>> for Desk<R> {
    fn attach(log: Attaching<'_, Self, Log<'static>, Server<Numbers>>) -> Result<(), RegisterError> {
        log.method(Self::log)
    }
}

impl<R: Fn(String) + Send + Sync + 'static> Handles<Half, Server<Numbers>> for Desk<R> {
    fn attach(half: Attaching<'_, Self, Half, Server<Numbers>>) -> Result<(), RegisterError> {
        half.async_method_with_context(|desk, half, context| async move { desk.half(half, &context).await })
    }
}

/// The rest of them.
#[handlers(server = Numbers)]
impl<R: Fn(String) + Send + Sync + 'static> Desk<R> {
    fn double(&self, Double(number): Double) -> Result<i64, &'static str> {
        number.checked_mul(2).ok_or("more than fits")
    }
}

struct Screen<R>(R);

impl<R: Fn(String) + Send + Sync + 'static> Handles<Note, Client<Numbers>> for Screen<R> {
    fn attach(note: Attaching<'_, Self, Note, Client<Numbers>>) -> Result<(), RegisterError> {
        fn show<R: Fn(String)>(screen: &Screen<R>, Note(text): Note, _: ClientContext<'_, Numbers>) {
            (screen.0)(text);
        }
        note.method_with_context(show)
    }
}

support::both_flavours! {
    async fn handlers_by_hand_and_of_a_block_are_attached_together() {
        let mut events = Events::new();
        let (_place, _server, client) = connected::<Numbers>(|server, client| {
            server.attach(Desk(events.reporter())).unwrap();
            client.attach(Screen(events.reporter())).unwrap();
        }).await;
        client.send(&Note("echo".into())).unwrap();
        assert_eq!(events.next().await, "echo");
        client.send(&Log("borrowed")).unwrap();
        assert_eq!(events.next().await, "borrowed");
        assert_eq!(soon("a reply", client.request(&Double(4))).await.unwrap(), 8);
        assert_eq!(soon("a reply", client.request(&Half(4))).await.unwrap(), 2);
        let error = soon("a reply", client.request(&Half(5))).await.unwrap_err();
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.text() == "5 of 1"), "{error:?}");
    }
}
