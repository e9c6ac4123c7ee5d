//! The cases of both benchmarks. Each case receives or sends messages through the public API over a stream in memory,
//! so it measures the library without the kernel.

#![allow(clippy::expect_used, reason = "a measurement that can't be made is to stop the program")]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use serde::{Deserialize, Serialize};
use socket_ipc::{ClientId, Server, Topic, handlers};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// The message that the comparison with other libraries uses, too.
#[derive(Topic, Serialize, Deserialize, Clone)]
#[topic = "bench"]
pub(crate) struct Small {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Small {
    pub(crate) fn new() -> Self {
        Self { id: 123_456, name: "crussell52".to_owned(), value: 1234.5 }
    }
}

/// The same message as a request, and as its reply.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "echo", reply = Echoed)]
pub(crate) struct Echo(Small);

#[derive(Topic, Serialize, Deserialize)]
#[topic = "echoed"]
pub(crate) struct Echoed(Small);

/// The same message, which borrows its text.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "bench"]
pub(crate) struct Borrowed<'a> {
    pub(crate) id: u64,
    pub(crate) name: &'a str,
    pub(crate) value: f64,
}

#[derive(Topic, Serialize, Deserialize, Clone)]
#[topic = "bench"]
pub(crate) struct Text {
    pub(crate) text: String,
}

impl Text {
    /// A text of `len` bytes, with an escape every 100.
    pub(crate) fn new(len: usize) -> Self {
        let text = (0..len).map(|at| if at % 100 == 99 { '\n' } else { 'x' }).collect();
        Self { text }
    }
}

/// A struct with a method that does what the closures do.
struct Methods;

#[handlers]
impl Methods {
    fn small(&self, message: Small, context: socket_ipc::Context<'_>) {
        used((message, context.client_id()));
    }
}

/// The same with a method that waits, and is ready at once.
struct AsyncMethods;

#[handlers]
impl AsyncMethods {
    async fn small(&self, message: Small) {
        used(message);
    }
}

/// One case.
pub(crate) struct Case {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    /// The number of messages: enough for a run to be timed, and few enough to count their instructions.
    pub(crate) messages: usize,
    run: Box<dyn Fn(usize)>,
}

impl Case {
    fn new(group: &'static str, name: &'static str, messages: usize, run: impl Fn(usize) + 'static) -> Self {
        Self { group, name, messages, run: Box::new(run) }
    }

    /// A case that receives messages, `lines` in turn, with the listeners that `listen` attaches.
    fn receive(
        group: &'static str,
        name: &'static str,
        messages: usize,
        lines: impl IntoIterator<Item = String>,
        listen: impl Fn(&Server) + 'static,
    ) -> Self {
        let lines: Vec<_> = lines.into_iter().collect();
        let (count, block) = (lines.len(), Arc::<[u8]>::from(lines.concat().into_bytes()));
        Self::new(group, name, messages, move |messages| {
            assert_eq!(messages % count, 0, "{name} receives whole blocks of lines");
            current_thread().block_on(receive(Arc::clone(&block), messages / count, &listen));
        })
    }

    /// A case that sends messages to this many clients. Each client reads everything at once.
    fn send<M: Topic + Serialize + 'static>(
        name: &'static str,
        messages: usize,
        clients: usize,
        message: M,
    ) -> Self {
        Self::new("send", name, messages, move |messages| {
            current_thread().block_on(send(clients, messages, &message));
        })
    }

    pub(crate) fn run(&self, messages: usize) {
        (self.run)(messages);
    }
}

/// All cases. The baseline of the instruction counts uses their names.
pub(crate) fn cases() -> Vec<Case> {
    let small = || std::hint::black_box(json(&Small::new()));
    let line = |message: &str| [format!("{{\"topic\":\"bench\",\"message\":{message}}}\n")];
    let request = |message: &str| [format!("{{\"topic\":\"echo\",\"message\":{message},\"id\":7}}\n")];
    let typed = |server: &Server| {
        server.on::<Small>(|message, _| used(message));
    };
    let text = |server: &Server| {
        server.on::<Text>(|message, _| used(message));
    };
    let raw = |server: &Server| {
        server.on_message(|message, _, _| used(message.as_str()));
    };
    let topics = |count: usize| {
        let lines =
            (0..count).map(|number| format!("{{\"topic\":\"topic {number}\",\"message\":{number}}}\n"));
        let listen = move |server: &Server| {
            for number in 0..count {
                let topic = format!("topic {number}");
                server.on_topic(&topic, |message, _| used(message.as_str()));
            }
        };
        (lines, listen)
    };
    let ((one, on_one), (ten, on_ten), (thousand, on_thousand)) = (topics(1), topics(10), topics(1_000));
    vec![
        Case::send("small", 10_000, 1, Small::new()),
        Case::send("1 KiB", 10_000, 1, Text::new(1024)),
        Case::send("64 KiB", 200, 1, Text::new(64 * 1024)),
        Case::send("small to 64 clients", 1_000, 64, Small::new()),
        Case::send("64 KiB to 64 clients", 50, 64, Text::new(64 * 1024)),
        Case::receive("receive", "owned", 10_000, line(&small()), typed),
        Case::receive("receive", "borrowed", 10_000, line(&small()), |server| {
            server.on::<Borrowed<'_>>(|message, _| used(message));
        }),
        Case::receive(
            "receive",
            "message before topic",
            10_000,
            [format!("{{\"message\":{},\"topic\":\"bench\"}}\n", small())],
            typed,
        ),
        Case::receive(
            "receive",
            "with another key",
            10_000,
            [format!("{{\"topic\":\"bench\",\"version\":1,\"message\":{}}}\n", small())],
            typed,
        ),
        Case::receive("receive", "1 KiB", 10_000, line(&json(&Text::new(1024))), text),
        Case::receive("receive", "64 KiB", 200, line(&json(&Text::new(64 * 1024))), text),
        Case::receive("route", "one topic", 10_000, one, on_one),
        Case::receive("route", "ten topics", 10_000, ten, on_ten),
        Case::receive("route", "1,000 topics", 10_000, thousand, on_thousand),
        Case::receive("route", "three listeners", 10_000, line(&small()), move |server| {
            (0..3).for_each(|_| typed(server));
        }),
        Case::receive("route", "raw", 10_000, line(&small()), raw),
        Case::receive("route", "raw beside typed", 10_000, line(&small()), move |server| {
            raw(server);
            typed(server);
        }),
        Case::receive("route", "asynchronous", 10_000, line(&small()), |server| {
            server.on_async::<Small>(|message, _| async move { used(message) });
        }),
        Case::receive("route", "method", 10_000, line(&small()), |server| {
            server.attach(Methods).expect("the topics are free");
        }),
        Case::receive("route", "asynchronous method", 10_000, line(&small()), |server| {
            server.attach(AsyncMethods).expect("the topics are free");
        }),
        Case::receive("respond", "synchronous", 10_000, request(&small()), |server| {
            server.respond::<Echo>(|Echo(message), _| Echoed(message)).expect("the topic is free");
        }),
        Case::receive("respond", "asynchronous", 10_000, request(&small()), |server| {
            let responder = server.respond_async::<Echo>(|Echo(message), _| async move { Echoed(message) });
            responder.expect("the topic is free");
        }),
        Case::receive("route", "as a tree", 10_000, line(&small()), |server| {
            server.on_topic("bench", |message, _| used(message.to_value()));
        }),
        Case::receive("route", "no listener", 10_000, line(&small()), |_| {}),
    ]
}

fn json(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("these messages have a JSON form")
}

fn used<T>(message: T) {
    drop(std::hint::black_box(message));
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

async fn receive(block: Arc<[u8]>, blocks: usize, listen: &dyn Fn(&Server)) {
    let server = Server::new("in memory");
    listen(&server);
    let (errors, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, end) = (Arc::clone(&errors), Arc::clone(&ended));
    server.on_message_error(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    server.on_connection_close(move |_, _| end.notify_one());
    admit(&server, Memory { block, at: 0, blocks });
    ended.notified().await;
    assert_eq!(errors.load(Ordering::Relaxed), 0, "every message can be read");
}

async fn send<M: Topic + Serialize>(clients: usize, messages: usize, message: &M) {
    let server = Server::new("in memory");
    let ids: Vec<_> =
        (0..clients).map(|_| admit(&server, Memory { block: Arc::new([]), at: 0, blocks: 1 })).collect();
    for _ in 0..messages {
        match ids[..] {
            [id] => server.send_async(message, id).await.expect("the client takes everything"),
            _ => assert_eq!(server.broadcast_async(message).await.ok(), Some(clients)),
        }
    }
}

fn admit(server: &Server, memory: Memory) -> ClientId {
    server.serve_connection(memory).expect("every client is let in").expect("the server is open")
}

/// A client in memory: it sends `block` `blocks` times, then closes, and reads everything that is written to it.
struct Memory {
    block: Arc<[u8]>,
    at: usize,
    blocks: usize,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.block.is_empty() {
            return Poll::Pending;
        }
        while self.blocks > 0 && into.remaining() > 0 {
            let count = into.remaining().min(self.block.len() - self.at);
            into.put_slice(&self.block[self.at..][..count]);
            self.at += count;
            if self.at == self.block.len() {
                self.at = 0;
                self.blocks -= 1;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(std::hint::black_box(bytes).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
