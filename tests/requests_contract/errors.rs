//! Replies and errors of any type.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use socket_ipc::{ErrorReply, RawMessage, blocking};

use super::*;

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "submit", reply = Submitted, error = SubmitError)]
struct Submit {
    command: String,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Submitted {
    id: u64,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, thiserror::Error)]
enum SubmitError {
    #[error("the queue holds {max} jobs")]
    QueueFull { max: usize },
    #[error(transparent)]
    BadCommand(#[from] CommandError),
}

#[derive(Serialize, Deserialize, Debug, PartialEq, thiserror::Error)]
#[error("no command in {text:?}")]
struct CommandError {
    text: String,
}

struct Command;

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        if text.trim().is_empty() { Err(CommandError { text: text.into() }) } else { Ok(Self) }
    }
}

fn submit(command: &str) -> Submit {
    Submit { command: command.into() }
}

/// A responder to `Submit`, without an annotation of its error.
fn respond_to_submit(server: &Server) {
    server
        .respond::<Submit>(|submit, _client_id| {
            let _command: Command = submit.command.parse()?;
            if submit.command == "one more" {
                return Err(SubmitError::QueueFull { max: 3 });
            }
            Ok(Submitted { id: 7 })
        })
        .unwrap();
}

fn full() -> SubmitError {
    SubmitError::QueueFull { max: 3 }
}

fn empty() -> SubmitError {
    SubmitError::BadCommand(CommandError { text: " ".into() })
}

/// Fails unless the request failed with this error and text.
fn assert_failed(result: Result<Submitted, RequestError<SubmitError>>, expected: &SubmitError) {
    match result {
        Err(RequestError::Failed { topic, text, error }) => {
            assert_eq!((topic.as_str(), text, &error), ("submit", expected.to_string(), expected));
        }
        other => panic!("not failed, but {other:?}"),
    }
}

/// An error that can't be displayed.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Silent {
    reason: u8,
}

#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "silent", reply = (), error = Silent)]
struct BeSilent;

support::both_flavours! {
    async fn typed_error_of_responder_is_decoded_by_requester() {
        let (_place, server, client) = connected().await;
        respond_to_submit(&server);
        assert_eq!(soon("a reply", client.request(&submit("ls"))).await.unwrap(), Submitted { id: 7 });
        assert_failed(soon("an error", client.request(&submit("one more"))).await, &full());
        assert_failed(soon("an error", client.request(&submit(" "))).await, &empty());
        assert_failed(soon("an error", client.handle().request(&submit(" "))).await, &empty());
    }

    async fn typed_error_of_async_responder_and_of_client_is_decoded() {
        let (_place, server, client) = connected().await;
        server.respond_async::<Submit>(|submit, _client_id| async move {
            tokio::task::yield_now().await;
            let _command: Command = submit.command.parse()?;
            Err(SubmitError::QueueFull { max: 3 })
        }).unwrap();
        assert_failed(soon("an error", client.request(&submit("ls"))).await, &full());
        assert_failed(soon("an error", client.request(&submit(" "))).await, &empty());
        // The other way.
        let id = server.clients()[0];
        let token = client.respond::<Submit>(|submit| {
            let _command: Command = submit.command.parse()?;
            Err(SubmitError::QueueFull { max: 3 })
        }).unwrap();
        assert_failed(soon("an error", server.request(&submit("ls"), id)).await, &full());
        assert_failed(soon("an error", server.handle().request(&submit(" "), id)).await, &empty());
        client.off(token);
        client.respond_async::<Submit>(|submit| async move {
            let _command: Command = submit.command.parse()?;
            Ok(Submitted { id: 8 })
        }).unwrap();
        assert_failed(soon("an error", server.request(&submit(" "), id)).await, &empty());
        assert_eq!(soon("a reply", server.request(&submit("ls"), id)).await.unwrap(), Submitted { id: 8 });
    }

    async fn typed_error_of_blocking_client_is_decoded() {
        let (place, server, _client) = connected().await;
        respond_to_submit(&server);
        let path = place.socket();
        let blocking = tokio::task::spawn_blocking(move || {
            let client = blocking::Client::new(path);
            client.connect().unwrap();
            let raw = client.request_raw("submit", &submit(" "));
            (client.request(&submit("one more")), client.request(&submit("ls")), raw)
        });
        let (error, reply, raw) = soon("the blocking client", blocking).await.unwrap();
        assert_failed(error, &full());
        assert_eq!(reply.unwrap(), Submitted { id: 7 });
        let RequestError::Failed { error, .. } = raw.unwrap_err() else { panic!("not failed") };
        assert_eq!(error.as_str(), r#"{"BadCommand":{"text":" "}}"#);
    }

    async fn typed_error_of_raw_request_is_its_json_text() {
        let (_place, server, client) = connected().await;
        respond_to_submit(&server);
        let error = failed(client.request_raw("submit", &submit("one more"))).await;
        assert!(matches!(&error, RequestError::Failed { topic, text, error }
            if topic == "submit" && text == "the queue holds 3 jobs" && error.as_str() == r#"{"QueueFull":{"max":3}}"#),
            "{error:?}");
        let error = failed(client.request_raw("silent", &())).await;
        assert!(matches!(&error, RequestError::NoResponder { .. }), "{error:?}");
        // A server's, too.
        client.respond::<Submit>(|submit| submit.command.parse::<Command>().map(|_| Submitted { id: 1 }).map_err(SubmitError::from)).unwrap();
        let error = failed(server.request_raw("submit", &submit(""), server.clients()[0])).await;
        assert!(matches!(&error, RequestError::Failed { error, .. } if error.as_str() == r#"{"BadCommand":{"text":""}}"#), "{error:?}");
    }

    async fn typed_error_line_has_code_text_and_data() {
        let (place, server, _client) = connected().await;
        respond_to_submit(&server);
        server.respond::<BeSilent>(|_, _| Err(Silent { reason: 4 })).unwrap();
        server.respond::<Work>(|_, _| Err("no work")).unwrap();
        let (mut peer, _) = raw_peer(&place, &server).await;
        for (request, reply) in [
            (r#""topic":"submit","message":{"command":"ls"}"#, r#""topic":"submit","message":{"id":7}"#),
            (
                r#""topic":"submit","message":{"command":"one more"}"#,
                r#""topic":"error","message":{"code":"failed","text":"the queue holds 3 jobs","data":{"QueueFull":{"max":3}}},"error":true"#,
            ),
            (
                r#""topic":"silent","message":null"#,
                r#""topic":"error","message":{"code":"failed","text":"","data":{"reason":4}},"error":true"#,
            ),
            // Without `error = …` there is no data: missing, not `null`.
            (
                r#""topic":"work","message":1"#,
                r#""topic":"error","message":{"code":"failed","text":"no work"},"error":true"#,
            ),
        ] {
            peer.write(format!("{{{request},\"id\":7}}\n")).await;
            assert_eq!(peer.line().await, format!("{{{reply},\"re\":7}}"));
        }
    }

    async fn error_without_display_has_empty_text() {
        let (_place, server, client) = connected().await;
        server.respond::<BeSilent>(|_, _| Err(Silent { reason: 4 })).unwrap();
        let error = failed(client.request(&BeSilent)).await;
        assert_eq!(error.to_string(), "`silent` failed");
        assert!(matches!(error, RequestError::Failed { text, error: Silent { reason: 4 }, .. } if text.is_empty()));
    }

    async fn error_reply_without_decodable_data_is_rejected() {
        let (_place, server, client) = connected().await;
        server.respond_raw("submit", None, |message, _| {
            let Submit { command } = message.decode()?;
            let reply = ErrorReply::new("busy", "later");
            Err::<(), _>(if command.is_empty() { reply } else { reply.with_data(RawMessage::from(raw_value(&command))) })
        }).unwrap();
        for data in ["", "null", "5", r#"{"QueueFull":{"max":-3}}"#, r#"{"Other":1}"#, r#""QueueFull""#] {
            let error = failed(client.request(&submit(data))).await;
            assert!(matches!(&error, RequestError::Rejected { topic, reply }
                if topic == "submit" && reply.code() == "busy" && reply.text() == "later"
                    && reply.data().map(RawMessage::as_str).unwrap_or_default() == data), "{data}: {error:?}");
            assert_eq!(error.to_string(), "`submit` was rejected (busy): later");
        }
        // Any code will do where the data decodes.
        let error = failed(client.request(&submit(r#"{"QueueFull":{"max":9}}"#))).await;
        assert!(matches!(&error, RequestError::Failed { error: SubmitError::QueueFull { max: 9 }, text, .. } if text == "later"), "{error:?}");
    }

    async fn missing_data_is_not_null() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "null", reply = (), error = Option<u8>)]
        struct Null(bool);

        let (_place, server, client) = connected().await;
        let token = server.respond::<Null>(|_, _| Err(None)).unwrap();
        let error = failed(client.request(&Null(true))).await;
        assert!(matches!(&error, RequestError::Failed { error: None, .. }), "{error:?}");
        server.off(token);
        server.respond_raw("null", None, |_, _| Err::<(), _>(ErrorReply::new("failed", "no data"))).unwrap();
        let error = failed(client.request(&Null(true))).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.data().is_none()), "{error:?}");
    }

    async fn untyped_request_is_rejected_also_with_data() {
        let (_place, server, client) = connected().await;
        server.respond_raw("work", None, |_, _| {
            Err::<(), _>(ErrorReply::new("busy", "later").with_data(raw_value(r#"{"code":"a","text":"b"}"#).into()))
        }).unwrap();
        let error = failed(client.request(&Work(1))).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. }
            if reply.code() == "busy" && reply.data().is_some_and(|data| data.as_str() == r#"{"code":"a","text":"b"}"#)), "{error:?}");
    }

    async fn library_errors_of_typed_request_keep_their_names() {
        let (_place, server, client) = connected().await;
        let error = failed(client.request(&submit("ls"))).await;
        assert!(matches!(&error, RequestError::NoResponder { topic } if topic == "submit"), "{error:?}");
        server.respond::<Submit>(|_, _| -> Result<Submitted, SubmitError> { panic!("on purpose") }).unwrap();
        let error = failed(client.request(&submit("ls"))).await;
        assert!(matches!(&error, RequestError::ResponderPanicked { .. }), "{error:?}");
        let error = failed(client.request_raw("submit", &5)).await;
        assert!(matches!(&error, RequestError::RequestUndecodable { .. }), "{error:?}");
    }

    async fn explicit_error_reply_is_the_error() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "explicit", reply = u8, error = ErrorReply)]
        struct Explicit(u8);

        let (_place, server, client) = connected().await;
        server.respond::<Explicit>(|Explicit(number), _| match number {
            0 => Err(ErrorReply::new("zero", "not that one")),
            number => Ok(number),
        }).unwrap();
        assert_eq!(soon("a reply", client.request(&Explicit(3))).await.unwrap(), 3);
        let error = failed(client.request(&Explicit(0))).await;
        let (RequestError::Failed { error: reply, .. } | RequestError::Rejected { reply, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!((reply.code(), reply.text()), ("zero", "not that one"));
    }

    async fn reply_of_any_type_arrives() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "unit", reply = ())]
        struct Unit;
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "list", reply = Vec<Submitted>)]
        struct List(u64);
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "result", reply = Result<u8, String>)]
        struct Outcome(bool);
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "text", reply = String)]
        struct Text;
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "option", reply = Option<u8>, error = ())]
        struct Maybe(Option<u8>);

        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "tuple", reply = (u8, [String; 1]))]
        struct Tuple;

        let (_place, server, client) = connected().await;
        server.respond::<Tuple>(|_, _| (1, ["one".to_owned()])).unwrap();
        assert_eq!(soon("a reply", client.request(&Tuple)).await.unwrap(), (1, ["one".to_owned()]));
        server.respond::<Unit>(|_, _| ()).unwrap();
        server.respond::<List>(|List(len), _| (0..len).map(|id| Submitted { id }).collect::<Vec<_>>()).unwrap();
        server.respond::<Outcome>(|Outcome(ok), _| if ok { Ok(5) } else { Err("no".to_owned()) }).unwrap();
        server.respond::<Text>(|_, _| "line\u{2028}\n\0\"".to_owned()).unwrap();
        server.respond::<Maybe>(|Maybe(value), _| value.map(Some).ok_or(())).unwrap();
        soon("a reply", client.request(&Unit)).await.unwrap();
        let list = soon("a reply", client.request(&List(2))).await.unwrap();
        assert_eq!(list, [Submitted { id: 0 }, Submitted { id: 1 }]);
        assert_eq!(soon("a reply", client.request(&List(0))).await.unwrap(), []);
        assert_eq!(soon("a reply", client.request(&Outcome(true))).await.unwrap(), Ok(5));
        // It is a reply, and no failure.
        assert_eq!(soon("a reply", client.request(&Outcome(false))).await.unwrap(), Err("no".into()));
        assert_eq!(soon("a reply", client.request(&Text)).await.unwrap(), "line\u{2028}\n\0\"");
        assert_eq!(soon("a reply", client.request(&Maybe(Some(1)))).await.unwrap(), Some(1));
        let error = failed(client.request(&Maybe(None))).await;
        assert!(matches!(error, RequestError::Failed { error: (), .. }), "{error:?}");
    }

    async fn generic_request_has_reply_and_error() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "find", reply = Found<T>, error = NotFound<T>)]
        struct Find<T>(T);
        #[derive(Serialize, Deserialize, Debug, PartialEq)]
        struct Found<T> {
            value: T,
        }
        #[derive(Serialize, Deserialize, Debug, PartialEq)]
        struct NotFound<T>(T);
        impl<T: fmt::Display> fmt::Display for NotFound<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "no {}", self.0)
            }
        }

        /// Generic over the type of the request's field.
        fn find<T>(client: &Client, value: T) -> ReplyFuture<Found<T>, NotFound<T>>
        where
            T: Serialize + DeserializeOwned + 'static,
        {
            client.request(&Find(value))
        }

        let (_place, server, client) = connected().await;
        server.respond::<Find<u8>>(|Find(value), _| if value > 0 { Ok(Found { value }) } else { Err(NotFound(value)) }).unwrap();
        assert_eq!(soon("a reply", find(&client, 3u8)).await.unwrap(), Found { value: 3 });
        let error = failed(find(&client, 0u8)).await;
        assert!(matches!(&error, RequestError::Failed { error: NotFound(0), .. }), "{error:?}");
    }

    async fn question_mark_converts_request_errors_to_boxed_error() {
        async fn typed(client: &Client) -> Result<u64, Box<dyn Error + Send + Sync>> {
            Ok(client.request(&submit("one more")).await?.id)
        }
        async fn typed_without_display(client: &Client) -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(client.request(&BeSilent).await?)
        }
        async fn untyped(client: &Client) -> Result<u64, Box<dyn Error + Send + Sync>> {
            Ok(client.request(&Work(1)).await?)
        }
        async fn raw(client: &Client) -> Result<u64, Box<dyn Error + Send + Sync>> {
            Ok(client.request_raw("work", &1).await?.decode()?)
        }

        let (_place, server, client) = connected().await;
        respond_to_submit(&server);
        server.respond::<BeSilent>(|_, _| Err(Silent { reason: 4 })).unwrap();
        server.respond::<Work>(|_, _| Err("no work")).unwrap();
        let text = |error: Box<dyn Error + Send + Sync>| error.to_string();
        assert_eq!(soon("an error", typed(&client)).await.map_err(text), Err("`submit` failed: the queue holds 3 jobs".into()));
        assert_eq!(soon("an error", typed_without_display(&client)).await.map_err(text), Err("`silent` failed".into()));
        assert_eq!(soon("an error", untyped(&client)).await.map_err(text), Err("`work` was rejected (failed): no work".into()));
        assert_eq!(soon("an error", raw(&client)).await.map_err(text), Err("`work` was rejected (failed): no work".into()));
    }

    async fn question_mark_passes_request_error_on_in_responder_without_error_type() {
        let (_place, server, client) = connected().await;
        respond_to_submit(&server);
        let requesting = client.handle();
        client.respond_async::<Work>(move |_| {
            let reply = requesting.request(&submit("one more"));
            async move { Ok::<_, RequestError<SubmitError>>(reply.await?.id) }
        }).unwrap();
        let error = failed(server.request(&Work(1), server.clients()[0])).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. }
            if reply.code() == "failed" && reply.text() == "`submit` failed: the queue holds 3 jobs"), "{error:?}");
    }

    async fn nan_in_typed_error_is_rejected_with_its_place() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "root", reply = f64, error = NoRoot)]
        struct Root(f64);
        #[derive(Serialize, Deserialize, Debug, thiserror::Error)]
        #[error("no root of {of}")]
        struct NoRoot {
            of: f64,
        }

        let (_place, server, client) = connected().await;
        server.respond::<Root>(|Root(of), _| if of >= 0.0 { Ok(of.sqrt()) } else { Err(NoRoot { of: of.sqrt() }) }).unwrap();
        assert_eq!(soon("a root", client.request(&Root(4.0))).await.unwrap(), 2.0);
        let error = failed(client.request(&Root(-1.0))).await;
        // JSON has no NaN. The text of the error is there, and the topic is that of the request.
        let text = "no root of NaN (sent without its data: cannot encode a message of `root`: data.of is NaN, which JSON \
                    cannot represent)";
        assert!(matches!(&error, RequestError::Rejected { reply, .. } if reply.code() == "failed" && reply.text() == text), "{error:?}");
    }

    async fn typed_error_that_cannot_be_sent_is_rejected_with_the_reason() {
        #[derive(Topic, Serialize, Deserialize)]
        #[topic(name = "long", reply = (), error = TooMuch)]
        struct Long(usize);
        #[derive(Serialize, Deserialize, Debug, PartialEq)]
        struct TooMuch {
            text: String,
            #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
            map: Option<std::collections::BTreeMap<(u8, u8), u8>>,
        }

        let (_place, server, client) = connected_with(|server| server.max_message_len(300), |client| client).await;
        server.respond::<Long>(|Long(len), _| {
            let map = (len == 0).then(|| [((1, 2), 3)].into());
            Err(TooMuch { text: "x".repeat(len), map })
        }).unwrap();
        let error = failed(client.request(&Long(10))).await;
        assert!(matches!(&error, RequestError::Failed { error, .. } if error.text.len() == 10), "{error:?}");
        let error = failed(client.request(&Long(1_000))).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. }
            if reply.code() == "failed" && reply.text().contains("over the limit of 300")), "{error:?}");
        let error = failed(client.request(&Long(0))).await;
        assert!(matches!(&error, RequestError::Rejected { reply, .. }
            if reply.code() == "failed" && reply.text().contains("key must be")), "{error:?}");
        // The connection lives.
        ping(&client).await;
    }
}

fn raw_value(json: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
}
