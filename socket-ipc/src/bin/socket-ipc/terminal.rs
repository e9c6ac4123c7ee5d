//! A terminal as a screen that is drawn again and again, and its keys.
//!
//! The backend of ratatui is written here, in the few sequences that every terminal of today knows: with the one for
//! crossterm the command would have more than 90 crates.

use std::fmt::Write as _;
use std::io::{self, Read};

use anstyle::{AnsiColor, Effects};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::output;

/// The whole terminal, until it is dropped.
pub(crate) struct Screen {
    terminal: Terminal<Sequences>,
    /// Gives the terminal back.
    _before: Before,
}

impl Screen {
    pub(crate) fn open(colours: bool) -> Result<Self, Failure> {
        // From here on, every error gives the terminal back.
        let before = Before(raise());
        // The other screen, so that what was there before comes back; no cursor.
        output::write_screen("\x1b[?1049h\x1b[?25l").map_err(|error| unwritten(&error))?;
        let terminal = Terminal::new(Sequences { text: String::new(), colours, at: None });
        let mut terminal = terminal.map_err(|error| unwritten(&error))?;
        terminal.clear().map_err(|error| unwritten(&error))?;
        Ok(Self { terminal, _before: before })
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Buffer)) -> Result<(), Failure> {
        self.terminal.draw(|frame| draw(frame.buffer_mut())).map(drop).map_err(|error| unwritten(&error))
    }
}

/// How standard input was before, if it is a terminal. The terminal is that again when this is dropped.
struct Before(Option<Termios>);

impl Drop for Before {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to give back.
        let _ = output::write_screen("\x1b[0m\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::other(format!("cannot draw on the terminal: {error}"))
}

/// Has each key read at once, without being shown. Ctrl-C stays a signal; Ctrl-Z and Ctrl-\ do nothing, because what they
/// do leaves the terminal as it is.
fn raise() -> Option<Termios> {
    let before = tcgetattr(io::stdin()).ok()?;
    let mut raised = before.clone();
    raised.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    for key in [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT] {
        raised.special_codes[key] = 0;
    }
    tcsetattr(io::stdin(), OptionalActions::Flush, &raised).ok()?;
    Some(before)
}

/// Reads keys on a thread of its own, because reading from a terminal can't be cancelled.
pub(crate) fn keys() -> mpsc::Receiver<u8> {
    let (sender, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        for key in io::stdin().lock().bytes() {
            if !key.is_ok_and(|key| sender.blocking_send(key).is_ok()) {
                return;
            }
        }
    });
    keys
}

/// What is to be written next. ratatui gives it cells without control characters.
struct Sequences {
    text: String,
    colours: bool,
    /// Where the cursor is.
    at: Option<(u16, u16)>,
}

impl Sequences {
    fn style(&self, cell: &Cell) -> anstyle::Style {
        let mut style = anstyle::Style::new();
        for (modifier, effect) in [
            (Modifier::BOLD, Effects::BOLD),
            (Modifier::DIM, Effects::DIMMED),
            (Modifier::REVERSED, Effects::INVERT),
        ] {
            if cell.modifier.contains(modifier) {
                style |= effect;
            }
        }
        let colour = match cell.fg {
            Color::Cyan => Some(AnsiColor::Cyan.into()),
            Color::Red => Some(AnsiColor::Red.into()),
            _ => None,
        };
        style.fg_color(colour.filter(|_| self.colours))
    }
}

impl Backend for Sequences {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        for (x, y, cell) in content {
            if self.at != Some((x, y)) {
                self.set_cursor_position((x, y))?;
            }
            let style = self.style(cell);
            let _ = write!(self.text, "{style}{}{style:#}", cell.symbol());
            // After a wide character the cursor is moved anyway.
            self.at = Some((x + 1, y));
        }
        self.at = None;
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.text += "\x1b[?25l";
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.text += "\x1b[?25h";
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.text += match region {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        };
        self.flush()
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = output::size()?;
        // Some terminals do not know theirs.
        Ok(if width == 0 || height == 0 { Size::new(80, 24) } else { Size::new(width, height) })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        output::write_screen(&std::mem::take(&mut self.text))
    }
}
