//! `top`, in a pipe and on a terminal (tmux).

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use socket_ipc::{Client, ErrorReply, Server, Topic};
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use crate::command::{DEADLINE, Place, Running, accept, on_a_terminal, run, skip};

/// A request whose responder never finishes.
#[derive(Topic, Serialize, Deserialize)]
#[topic(name = "wait", reply = ())]
struct Wait;

/// A message that the server names.
#[derive(Topic, Serialize, Deserialize)]
#[topic = "news"]
struct News(u64);

/// A server that broadcasts `news` all the time, and a topic known only at run time half as often.
fn busy(path: &str, describes: bool) -> (Runtime, Server) {
    let runtime = Runtime::new().unwrap();
    let builder = Server::builder(path);
    let server = if describes { builder.describe().build() } else { builder.build() };
    let never = |_, _| std::future::pending::<Result<(), ErrorReply>>();
    server.respond_async::<Wait>(never).unwrap();
    runtime.block_on(server.listen()).unwrap();
    let sending = server.handle();
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        // On a busy machine it sends less, and never catches up at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0.. {
            ticks.tick().await;
            sending.broadcast(&News(number)).unwrap();
            if number % 2 == 0 {
                sending.broadcast_raw("\u{1b}[31mred", &number).unwrap();
            }
        }
    });
    (runtime, server)
}

/// The rates of a topic in a line of `top`.
fn topic<'l>(look: &'l Value, name: &str) -> &'l Value {
    let topics = look["topics"].as_array().unwrap();
    topics.iter().find(|topic| topic["topic"] == name).unwrap_or_else(|| panic!("no {name}: {look}"))
}

#[test]
fn top_in_a_pipe_prints_what_stats_and_messages_say() {
    let place = Place::new();
    let path = place.socket();
    assert!(run(["top", &path]).failed(3).starts_with("no server: "));
    let (runtime, server) = busy(&path, true);
    let client = Client::new(&path);
    runtime.block_on(client.connect()).unwrap();
    let waiting = runtime.spawn(client.request(&Wait));
    // The second look is after the request for certain: it is counted where it begins.
    let top = Running::start(["top", &path, "--interval", "0.3", "--sort", "topic"]);
    let in_flight = |look: &Value| look["requests_in_flight"] == 1;
    let look = std::iter::repeat_with(|| top.json()).take(20).find(in_flight).expect("a request in flight");
    assert_eq!((&look["up"], &look["clients"]), (&true.into(), &1.into()), "{look}");
    for name in ["received", "sent", "queued", "slow_consumers", "streams_in_flight"] {
        assert!(look[name].is_number(), "{name}: {look}");
    }
    let (news, others) = (topic(&look, "news"), topic(&look, ""));
    let sent = |topic: &Value| topic["sent"].as_f64().unwrap();
    // It goes to the client and to `top`, 200 times a second each, less on a busy machine.
    assert!(sent(news) > 2.0 && sent(news) < 600.0 && sent(others) < sent(news), "{look}");
    assert!(
        news["arrived"].as_f64().unwrap() > 1.0 && news["bytes"].as_f64().unwrap() > sent(news),
        "{look}"
    );
    assert!(topic(&look, "\u{1b}[31mred")["arrived"].as_f64().unwrap() > 0.0);
    let names = look["topics"].as_array().unwrap().iter().map(|topic| topic["topic"].as_str().unwrap());
    assert!(names.is_sorted(), "{look}");
    runtime.block_on(server.close());
    top.error_with("socket-ipc: lost the server");
    let gone = std::iter::repeat_with(|| top.json()).take(20).find(|look| look["up"] == false);
    assert!(gone.expect("it says that the server is gone")["clients"].is_null());
    top.signal(Signal::INT);
    assert_eq!(top.end().status, Some(0));
    waiting.abort();
}

#[test]
fn top_of_a_server_that_does_not_describe_itself_counts_what_arrives() {
    let place = Place::new();
    let path = place.socket();
    let (runtime, server) = busy(&path, false);
    let end = run(["top", &path, "--interval", "0.2", "--count", "2", "--sort", "arrived"]);
    assert_eq!(end.status, Some(0), "{}", end.errors);
    let look: Value = serde_json::from_str(end.output.lines().last().unwrap()).unwrap();
    assert!(look["clients"].is_null() && look["received"].is_null(), "{look}");
    assert!(topic(&look, "news")["arrived"].as_f64().unwrap() > 1.0, "{look}");
    assert_eq!(look["topics"][0]["topic"], "news");
    // Where a server with stats takes its place, they are shown.
    let top = Running::start(["top", &path, "--interval", "0.1"]);
    assert!(top.json()["clients"].is_null());
    runtime.block_on(server.close());
    let described = Running::serve(&path, []);
    let has_stats = |look: &Value| look["clients"] == 0;
    std::iter::repeat_with(|| top.json()).take(100).find(has_stats).expect("the stats of the other server");
    // Where it stops for a while, they come back.
    described.signal(Signal::STOP);
    let silent = std::iter::repeat_with(|| top.json()).filter(|look| look["clients"].is_null());
    assert_eq!(silent.take(2).map(|look| look["up"] == true).collect::<Vec<_>>(), [true, true]);
    described.signal(Signal::CONT);
    std::iter::repeat_with(|| top.json()).take(100).find(has_stats).expect("the stats after a pause");
    // Another one that says nothing at all.
    let silent = place.file("silent.sock");
    let listener = UnixListener::bind(&silent).unwrap();
    let top = Running::start(["top", silent.to_str().unwrap(), "--interval", "0.1", "--count", "1"]);
    let _connection = accept(&listener);
    let look = top.json();
    assert!(look["up"] == true && look["clients"].is_null() && look["topics"] == serde_json::json!([]));
}

/// A terminal of its own, in which a shell runs a command line and then says its status.
struct Terminal(String);

impl Terminal {
    fn run(name: &str, line: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip(name, "tmux is not here");
            return None;
        }
        let terminal = Self(format!("socket-ipc-{name}-{}", std::process::id()));
        let shell = format!(
            "trap : INT; env NO_COLOR= '{}' {line}; echo status $?; cat",
            env!("CARGO_BIN_EXE_socket-ipc")
        );
        let size = ["-x", "90", "-y", "12"];
        terminal.tmux([&["-f", "/dev/null", "new-session", "-d"], &size[..], &["sh", "-c", &shell]].concat());
        Some(terminal)
    }

    fn tmux<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let mut tmux = Command::new("tmux");
        let output = tmux.args(["-L", &self.0]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, key: &str) {
        self.tmux(["send-keys", key]);
    }

    /// Waits until the screen is so, and returns it.
    fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.tmux(["capture-pane", "-p"]);
            if is_so(&screen) {
                return screen;
            }
            assert!(start.elapsed() < DEADLINE, "not {what}:\n{screen}");
        }
    }

    fn until_contains(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(["kill-server"]);
    }
}

#[test]
fn top_on_a_terminal_draws_sorts_pauses_and_quits() {
    let place = Place::new();
    let path = place.socket();
    let (runtime, server) = busy(&path, true);
    let Some(terminal) = Terminal::run("top", &format!("top {path} --interval 0.2")) else { return };
    let screen = terminal.until("all lines", |screen| screen.contains("news") && screen.contains("[31mred"));
    assert!(screen.starts_with(&format!("socket-ipc top {path}\n0 clients, 0 requests and")), "{screen}");
    // The escape of the topic is shown, and colours nothing.
    assert!(screen.contains(r#""\u001b[31mred""#) && screen.contains("(others)"), "{screen}");
    assert!(screen.contains("sent/s▼") && screen.contains("q quit"), "{screen}");
    let order = |screen: &str| screen.find("news") < screen.find("(others)");
    assert!(order(&screen), "{screen}");
    terminal.press("r");
    terminal.until("reversed", |screen| screen.contains("sent/s▲") && !order(screen));
    for column in ["bytes/s▲", "arrived/s▲", "topic▲", "received/s▲"] {
        terminal.press("s");
        terminal.until_contains(column);
    }
    terminal.press("p");
    let paused = terminal.until_contains(" paused");
    let beside = Running::start(["top", &path, "--interval", "0.2"]);
    beside.json();
    runtime.block_on(server.close());
    // The looks of a server that is gone are not shown, of which there are as many as another `top` has.
    let gone = std::iter::repeat_with(|| beside.json()).filter(|look| look["up"] == false);
    assert_eq!(gone.take(2).count(), 2);
    terminal.press("s");
    let still = terminal.until_contains("sent/s▲");
    let rates = |screen: &str| screen.lines().nth(2).unwrap().to_owned();
    assert_eq!(rates(&paused), rates(&still));
    terminal.press("Space");
    terminal.until_contains("the server is gone; trying again");
    terminal.tmux(["resize-window", "-x", "60", "-y", "9"]);
    terminal.until("as wide as the window", |screen| {
        screen.lines().nth(8).is_some_and(|line| line.starts_with("s sort")) && !screen.contains("paused")
    });
    terminal.press("q");
    // The screen of the shell is back, with its cursor and its echo.
    let back = terminal.until_contains("status 0");
    assert!(back.starts_with("status 0"), "{back}");
    assert_eq!(terminal.tmux(["display-message", "-p", "#{cursor_flag}"]), "1\n");
    terminal.press("x");
    terminal.until_contains("x");
}

#[test]
fn top_on_a_terminal_ends_on_ctrl_c_and_a_signal() {
    let place = Place::new();
    let path = place.socket();
    let (_runtime, _server) = busy(&path, false);
    let Some(terminal) = Terminal::run("ctrl-c", &format!("top {path} --interval 0.1")) else { return };
    terminal.until_contains("the server does not describe itself");
    terminal.press("C-z");
    terminal.press("C-\\");
    terminal.press("C-c");
    assert!(terminal.until_contains("status 0").starts_with("status 0"));
    let terminal = Terminal::run("count", &format!("top {path} --interval 0.1 --count 1")).unwrap();
    terminal.until_contains("status 0");
    let terminal = Terminal::run("missing", "top /nowhere/file.sock").unwrap();
    let screen = terminal.until_contains("status 3");
    assert!(screen.starts_with("socket-ipc: no server: "), "{screen}");
}

#[test]
fn top_on_a_terminal_gives_it_back_where_the_server_speaks_another_wire() {
    let place = Place::new();
    let path = place.socket();
    let listener = UnixListener::bind(&path).unwrap();
    let Some(terminal) = Terminal::run("wire", &format!("top {path} --interval 0.1")) else { return };
    let mut connection = accept(&listener);
    terminal.until_contains("socket-ipc top");
    connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let back = terminal.until_contains("status 1");
    assert!(back.starts_with(&format!("socket-ipc: the server at {path}: it speaks HTTP\n")), "{back}");
    terminal.press("echoed");
    terminal.until_contains("echoed");
}

#[test]
fn top_on_a_terminal_that_knows_no_sequences_prints_lines() {
    let place = Place::new();
    let path = place.socket();
    let _server = Running::serve(&path, []);
    let top = format!("top {path} --interval 0.1 --count 1");
    let Some(terminal) = on_a_terminal("TERM=dumb", &top) else { return };
    let shown = terminal.end().output;
    assert!(
        shown.starts_with("{\"time\":\"") && shown.ends_with("}\n") && !shown.contains('\u{1b}'),
        "{shown}"
    );
}
