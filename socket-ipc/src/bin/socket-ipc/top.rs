//! `top`: the rates of a server's topics, its clients and its queues, again and again.

use std::future::pending;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::arguments_watching::{Column, Top};
use crate::failure::Failure;
use crate::output::{Printer, Reader};
use crate::running;
use crate::terminal::{self, Screen};
use crate::top_look::{Look, Watch};
use crate::top_picture::View;

/// The screen, until the command ends.
type Shared = Arc<Mutex<Option<Screen>>>;

pub(crate) fn run(arguments: Top) -> Result<(), Failure> {
    let (printer, broken) = Printer::new();
    let path = arguments.server.path.display().to_string();
    match Reader::find() {
        Reader::Program => {
            let work = async move {
                let mut looks = looks(&arguments, false).await?;
                while let Some(mut look) = looks.recv().await {
                    look.sort(arguments.sort, false);
                    printer.json(&serde_json::to_string(&look).unwrap_or_default());
                }
                Ok(())
            };
            running::until_told(work, broken, async {})
        }
        Reader::Person { colours } => {
            let screen = Shared::default();
            let restored = Arc::clone(&screen);
            let work = async move {
                let looks = looks(&arguments, true).await?;
                let view = View::new(path, arguments.sort);
                let screen = Drawn { view, screen };
                screen.set(Some(Screen::open(colours)?));
                screen.follow(looks).await
            };
            running::until_told(work, broken, restore(restored))
        }
    }
}

/// Looks at the server at every interval, in a task of its own, until there are as many looks as were wanted.
async fn looks(arguments: &Top, on_screen: bool) -> Result<mpsc::Receiver<Look>, Failure> {
    let mut watch = Watch::start(arguments, on_screen).await?;
    let (sender, looks) = mpsc::channel(1);
    let (interval, count) = (arguments.interval, arguments.count.unwrap_or(u64::MAX));
    tokio::spawn(async move {
        for _ in 0..count {
            tokio::time::sleep(interval).await;
            let look = watch.look().await;
            if sender.send(look).await.is_err() {
                return;
            }
        }
    });
    Ok(looks)
}

/// Gives the terminal back, once nothing is drawn any more.
async fn restore(screen: Shared) {
    loop {
        match screen.try_lock() {
            Ok(mut screen) => return drop(screen.take()),
            Err(TryLockError::Poisoned(poisoned)) => return drop(poisoned.into_inner().take()),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// What is on the screen.
struct Drawn {
    view: View,
    screen: Shared,
}

impl Drawn {
    fn set(&self, screen: Option<Screen>) {
        *self.screen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = screen;
    }

    /// Draws each look, until there are no more, or a key quits.
    async fn follow(mut self, mut looks: mpsc::Receiver<Look>) -> Result<(), Failure> {
        let mut keys = terminal::keys();
        let mut resized = signal(SignalKind::window_change()).ok();
        loop {
            self.draw()?;
            tokio::select! {
                look = looks.recv() => match look {
                    Some(look) => self.view.see(look),
                    None => break,
                },
                key = next_key(&mut keys) => match key {
                    b'q' | b'Q' => break,
                    b'p' | b' ' => self.view.pause(),
                    b's' => self.view.sort = next(self.view.sort),
                    b'r' => self.view.reversed = !self.view.reversed,
                    _ => {}
                },
                () = next_size(&mut resized) => {}
            }
        }
        self.set(None);
        Ok(())
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let mut screen = self.screen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match screen.as_mut() {
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
