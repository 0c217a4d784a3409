//! What people see: on a terminal a table that is drawn over itself, elsewhere a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(2);

pub(crate) struct Screen {
    begin: Instant,
    terminal: bool,
    /// Lines of the table that stands at the bottom.
    drawn: usize,
    last_line: Option<Instant>,
}

/// One picture, for either kind of output.
pub(crate) struct Picture {
    pub(crate) table: Vec<String>,
    pub(crate) line: String,
}

impl Screen {
    pub(crate) fn new() -> Screen {
        Screen { begin: Instant::now(), terminal: io::stdout().is_terminal(), drawn: 0, last_line: None }
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        self.last_line = None;
        writeln!(io::stdout(), "{text}")
    }

    /// Shows how things stand.
    pub(crate) fn show(&mut self, picture: &Picture) -> io::Result<()> {
        if self.terminal {
            self.clear()?;
            self.drawn = picture.table.len();
            writeln!(io::stdout(), "{}", picture.table.join("\n"))
        } else if self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            writeln!(io::stdout(), "{:3} s  {}", self.begin.elapsed().as_secs(), picture.line)
        } else {
            Ok(())
        }
    }

    /// Takes the table away.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.drawn);
        if lines == 0 { Ok(()) } else { write!(io::stdout(), "\x1b[{lines}A\x1b[J") }
    }
}
