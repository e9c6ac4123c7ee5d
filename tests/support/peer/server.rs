//! A server that replies to everything.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket_ipc::Server;
use tokio::io::{BufReader, Lines, Stdin};

use super::{Note, Ping, Pong, Result, Square, resident, say, squared, streams, waits};

/// A server with the options of the environment: `PEER_UMASK` and `PEER_MODE`, octal, `PEER_GROUPS`, whose users may
/// connect, and `PEER_WATCH`, in milliseconds.
pub(super) fn with_options(path: &str) -> Result<Server> {
    let mut builder = Server::builder(path);
    if let Ok(mask) = std::env::var("PEER_UMASK") {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(u32::from_str_radix(&mask, 8)?));
    }
    if let Ok(mode) = std::env::var("PEER_MODE") {
        builder = builder.mode(u32::from_str_radix(&mode, 8)?);
    }
    if let Ok(groups) = std::env::var("PEER_GROUPS") {
        builder = builder.allow_groups(groups.split(','));
    }
    if let Ok(interval) = std::env::var("PEER_WATCH") {
        builder = builder.watch(Duration::from_millis(interval.parse()?));
    }
    Ok(builder.build())
}

/// Replies to pings and requests, and prints connections and errors. The line `status` prints what the process holds,
/// `peers` the connected peers, `streams` how many streams have begun and were dropped, and `waits` how many responders
/// that never reply. `child` starts a process, `fork` one without `exec` that drops its copy of the server, closes it, or
/// forks twice and drops it. Ends with its input.
pub(super) async fn server(server: Server, mut input: Lines<BufReader<Stdin>>) -> Result {
    let reply = server.handle();
    server.on::<Ping>(move |Ping(number), id| reply.send(&Pong(number), id).unwrap_or_else(say));
    server.on::<Note>(|Note(_), _| {});
    server.respond_async::<Square>(|request, _| squared(request))?;
    let waits = waits::Counts::default();
    waits.respond(&server)?;
    server.respond_raw("echo", Some("echoed"), |text, _| Ok(text.into_owned()))?;
    let streams = streams::Counts::default();
    streams.respond(&server)?;
    server.on_connection(|id| say(format_args!("connection {id}")));
    server.on_connection_close(|id, reason| say(format_args!("close {id} {:?}", reason.cause)));
    server.on_error(|error| say(format_args!("error {error}")));
    server.on_message_error({
        let errors = AtomicU64::new(0);
        move |_, _| {
            let errors = errors.fetch_add(1, Ordering::Relaxed) + 1;
            if errors.is_multiple_of(100_000) {
                say(format_args!("message errors {errors} resident {}", resident()));
            }
        }
    });
    server.listen().await.inspect_err(|error| eprintln!("{error}"))?;
    say(format_args!("listening resident {}", resident()));
    while let Some(line) = input.next_line().await? {
        match line.as_str() {
            "status" => {
                let clients = server.clients().len();
                let descriptors = std::fs::read_dir("/proc/self/fd")?.count();
                let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
                let resident = resident();
                say(format_args!("status {clients} {descriptors} {tasks} {resident}"));
            }
            "streams" => streams.say(),
            "waits" => waits.say(),
            "peers" => {
                for id in server.clients() {
                    let peer = server.peer(id).ok_or("a client without a peer")?;
                    say(format_args!("peer {id} {peer}"));
                }
            }
            "fork drop" | "fork close" | "fork twice" => match fork::fork()? {
                fork::Fork::Child => {
                    // As a program does that becomes a daemon: the child of the child drops the server.
                    if line == "fork twice"
                        && let fork::Fork::Parent(child) = fork::fork()?
                    {
                        fork::waitpid(child)?;
                        std::process::exit(0);
                    }
                    match line.as_str() {
                        "fork close" => server.close().await,
                        _ => drop(server),
                    }
                    // Tasks that are to end need turns to do so.
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                    std::process::exit(0);
                }
                fork::Fork::Parent(child) => {
                    fork::waitpid(child)?;
                    say("the child has ended");
                }
            },
            "child" => {
                let mut command = std::process::Command::new("sleep");
                // It may outlive the reader of this process's output.
                command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let child = command.spawn()?;
                say(format_args!("child {}", child.id()));
            }
            _ => return Err(format!("unknown line: {line}").into()),
        }
    }
    server.close().await;
    say("closed");
    Ok(())
}
