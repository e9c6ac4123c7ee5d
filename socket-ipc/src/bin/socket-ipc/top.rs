//! `top`: the rates of a server's topics, its clients and its queues, again and again.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::arguments_watching::{Column, Top};
use crate::failure::Failure;
use crate::output::{self, Printer, Reader};
use crate::running;
use crate::terminal::{self, Screen};
use crate::top_look::{Look, Watch};
use crate::top_picture::View;

pub(crate) fn run(arguments: Top) -> Result<(), Failure> {
    let (printer, broken) = Printer::new();
    let path = arguments.server.path.display().to_string();
    match Reader::find() {
        Reader::Person { colours } if output::is_screen() => {
            let screen = Shared::default();
            let restored = Arc::clone(&screen);
            let work = async move {
                let looks = looks(&arguments, true).await?;
                let view = View::new(path, arguments.sort);
                Drawn { view, screen }.follow(colours, looks).await
            };
            // Gives the terminal back, once it is neither being opened nor drawn on.
            running::until_told(work, broken, running::once_free(&restored, Shown::end))
        }
        _ => {
            let work = async move {
                let mut looks = looks(&arguments, false).await?;
                while let Some(look) = looks.recv().await {
                    let mut look = look?;
                    look.sort(arguments.sort, false);
                    printer.json(&serde_json::to_string(&look).unwrap_or_default());
                }
                Ok(())
            };
            running::until_told(work, broken, async {})
        }
    }
}

/// The looks at a server, until there are as many as were wanted, or one fails.
type Looks = mpsc::Receiver<Result<Look, Failure>>;

/// Looks at the server at every interval, in a task of its own.
async fn looks(arguments: &Top, on_screen: bool) -> Result<Looks, Failure> {
    let mut watch = Watch::start(arguments, on_screen).await?;
    let (sender, looks) = mpsc::channel(1);
    let (interval, count) = (arguments.interval, arguments.count.unwrap_or(u64::MAX));
    tokio::spawn(async move {
        for _ in 0..count {
            let look = watch.look_after(interval).await;
            let failed = look.is_err();
            if sender.send(look).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(looks)
}

/// The screen while the command runs.
type Shared = Arc<Mutex<Shown>>;

#[derive(Default)]
struct Shown {
    screen: Option<Screen>,
    /// The command ends, and opens no screen any more.
    is_over: bool,
}

impl Shown {
    /// Gives the terminal back.
    fn end(&mut self) {
        *self = Self { screen: None, is_over: true };
    }
}

/// What is on the screen.
struct Drawn {
    view: View,
    screen: Shared,
}

impl Drawn {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.screen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Draws each look, until there are no more, or a key quits.
    async fn follow(mut self, colours: bool, looks: Looks) -> Result<(), Failure> {
        self.open(colours)?;
        let followed = self.draw_each(looks).await;
        self.shown().end();
        followed
    }

    /// Opens the screen under its lock: a signal that comes meanwhile waits for it, and gives the terminal back.
    fn open(&self, colours: bool) -> Result<(), Failure> {
        let mut shown = self.shown();
        if !shown.is_over {
            shown.screen = Some(Screen::open(colours)?);
        }
        Ok(())
    }

    async fn draw_each(&mut self, mut looks: Looks) -> Result<(), Failure> {
        let mut keys = terminal::keys();
        let mut resized = signal(SignalKind::window_change()).ok();
        loop {
            self.draw()?;
            tokio::select! {
                look = looks.recv() => match look {
                    Some(look) => self.view.see(look?),
                    None => return Ok(()),
                },
                key = next_key(&mut keys) => match key {
                    b'q' | b'Q' => return Ok(()),
                    b'p' | b' ' => self.view.pause(),
                    b's' => self.view.sort = next(self.view.sort),
                    b'r' => self.view.reversed = !self.view.reversed,
                    _ => {}
                },
                () = next_size(&mut resized) => {}
            }
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let mut shown = self.screen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &mut shown.screen {
            Some(screen) => screen.draw(|buffer| self.view.draw(buffer)),
            // A signal has ended the command.
            None => Ok(()),
        }
    }
}

async fn next_key(keys: &mut mpsc::Receiver<u8>) -> u8 {
    match keys.recv().await {
        Some(key) => key,
        None => pending().await,
    }
}

async fn next_size(resized: &mut Option<Signal>) {
    let size = match resized {
        Some(resized) => resized.recv().await,
        None => None,
    };
    if size.is_none() {
        pending().await
    }
}

fn next(column: Column) -> Column {
    match column {
        Column::Topic => Column::Received,
        Column::Received => Column::Sent,
        Column::Sent => Column::Bytes,
        Column::Bytes => Column::Arrived,
        Column::Arrived => Column::Topic,
    }
}
