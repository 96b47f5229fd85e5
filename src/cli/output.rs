//! Where answers go: stdout for answers, stderr for people. All text passes through here, so
//! nothing that a course says reaches a terminal as a command. Knows lines and JSON, not commands.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{RefCell, RefMut};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::{mem, panic};

use serde::Serialize;

use super::Format;
use super::failure::Failure;
use super::ink::{Ink, Line, folded};
use super::progress::Progress;
use super::streams::Streams;
use super::table::Table;
use super::text::{plain, plain_json};
use crate::error::{panic_text, shortened};

/// Stdout, stderr and the progress bar between them; and stdin, for what a command is told to read.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    streams: RefCell<Streams>,
    /// How wide the terminal is that stdout is, if it is one.
    columns: Option<usize>,
    is_coloured: bool,
    progress: Progress,
    /// The reader of stdout has gone. It has seen enough; the work goes on without words.
    is_unread: bool,
    /// The items of a list in JSON so far, while one is open.
    items: Option<usize>,
}

impl Output {
    /// Answers in `format`.
    pub(super) fn new(format: Format, progress: Progress, streams: Streams) -> Self {
        let is_text = format == Format::Text;
        let columns = console::Term::stdout().size_checked();
        let columns = columns.filter(|_| is_text && streams.writes_to_a_terminal());
        Self {
            format,
            columns: columns.map(|(_, columns)| usize::from(columns)),
            // Not with NO_COLOR either.
            is_coloured: is_text && streams.are_of_process() && console::colors_enabled(),
            streams: RefCell::new(streams),
            progress,
            is_unread: false,
            items: None,
        }
    }

    /// Whether programs read the answer.
    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// One line of text, which is out when this returns.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.write(&format!("{}\n", plain(line)))
    }

    /// One line with emphasis.
    pub(super) fn inked(&mut self, line: &Line) -> Result<(), Failure> {
        let line = if self.is_coloured {
            line.in_colour()
        } else {
            line.without_colour()
        };
        self.write(&format!("{line}\n"))
    }

    /// A text that begins with `head`, folded so that a terminal shows it below itself.
    pub(super) fn paragraph(&mut self, head: &Line, text: &str) -> Result<(), Failure> {
        let indent = head.width();
        let text = plain(text);
        let lines = match self.columns {
            Some(columns) => folded(&text, columns.saturating_sub(indent).max(MIN_COLUMNS)),
            None => vec![text.into_owned()],
        };
        for (number, line) in lines.iter().enumerate() {
            let before = if number == 0 {
                head.clone()
            } else {
                " ".repeat(indent).into()
            };
            self.inked(&before.with(Ink::Plain, line))?;
        }
        Ok(())
    }

    /// How wide the terminal is that stdout is; `None` where it is none.
    pub(super) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// A table, its head first.
    pub(super) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        for line in table.inked() {
            self.inked(&line)?;
        }
        Ok(())
    }

    /// One document: on one line for programs, indented for people.
    pub(super) fn json(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let json = if self.is_json() {
            serde_json::to_string(document)
        } else {
            serde_json::to_string_pretty(document)
        };
        let json = json.map_err(|error| unprintable(&error))?;
        self.write(&format!("{}\n", plain_json(&json)))
    }

    /// One document on stderr, on one line: where stdout is taken.
    pub(super) fn json_aside(&self, document: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(document).map_err(|error| unprintable(&error))?;
        self.notice(&plain_json(&json));
        Ok(())
    }

    /// Opens a document whose items are printed as they come, one a line: what was printed is out,
    /// and in the end ([`finish`](Self::finish)) the whole is one document.
    pub(super) fn begin_list(&mut self, name: &str) -> Result<(), Failure> {
        self.items = Some(0);
        self.write(&format!(
            "{{\"schema\":{},\"{name}\":[",
            super::json::SCHEMA
        ))
    }

    /// The next item.
    pub(super) fn item(&mut self, item: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(item).map_err(|error| unprintable(&error))?;
        let before = self.items.unwrap_or_default();
        self.items = Some(before + 1);
        let separator = if before == 0 { "" } else { "," };
        self.write(&format!("{separator}\n{}", plain_json(&json)))
    }

    /// Closes the list, and the document with what is to be said of all its items.
    pub(super) fn end_list(&mut self, summary: &impl Serialize) -> Result<(), Failure> {
        if self.items.take().is_none() {
            return Ok(());
        }
        let json = serde_json::to_string(summary).map_err(|error| unprintable(&error))?;
        let rest = json.strip_prefix('{').unwrap_or("}");
        let separator = if rest == "}" { "" } else { "," };
        self.write(&format!("\n]{separator}{}\n", plain_json(rest)))
    }

    /// Nothing comes after this: takes the bar away, and closes a list even where the work broke
    /// off, so that what there is can be read.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.progress.end();
        match self.items.take() {
            Some(_) => self.write("\n]}\n"),
            None => Ok(()),
        }
    }

    /// A line for people, on stderr. That it cannot be told changes nothing.
    pub(super) fn notice(&self, line: &str) {
        self.progress.aside(|| {
            let _ = writeln!(self.streams().stderr, "{}", plain(line));
        });
    }

    /// Stdin, for a command that reads all of it: there is nothing in it for others then.
    pub(super) fn take_stdin(&self) -> Box<dyn Read> {
        mem::replace(&mut self.streams().stdin, Box::new(io::empty()))
    }

    /// Stdout, for a command whose answer is no text: nothing else is written to it then.
    pub(super) fn take_stdout(&self) -> Box<dyn Write> {
        mem::replace(&mut self.streams().stdout, Box::new(io::sink()))
    }

    /// Whether somebody looks at stdout.
    pub(super) fn writes_to_a_terminal(&self) -> bool {
        self.streams().writes_to_a_terminal()
    }

    /// What somebody at a terminal answers to a question; `None` where there is nobody.
    pub(super) fn ask(&self, question: &str) -> io::Result<Option<String>> {
        if !self.streams().reads_a_terminal() {
            return Ok(None);
        }
        self.notice(question);
        let mut answer = String::new();
        BufReader::new(&mut self.streams().stdin).read_line(&mut answer)?;
        Ok(Some(answer))
    }

    /// Begins to count courses.
    pub(super) fn begin_progress(&mut self, courses: usize) {
        self.progress.begin(courses);
    }

    /// Begins to count bytes, of so many where that is known.
    pub(super) fn begin_bytes(&mut self, bytes: Option<u64>) {
        self.progress.begin_bytes(bytes);
    }

    /// So many are done.
    pub(super) fn reach(&self, done: u64) {
        self.progress.reach(done);
    }

    /// Takes the bar away: an answer comes.
    pub(super) fn end_progress(&mut self) {
        self.progress.end();
    }

    /// So many courses of so many are done; begins to count where nobody has.
    pub(super) fn set_progress(&mut self, done: u64, courses: u64) {
        self.progress.set(done, courses);
    }

    /// Whether somebody sees the progress.
    pub(super) fn shows_progress(&self) -> bool {
        self.progress.is_seen()
    }

    /// Says which course it is now.
    pub(super) fn at(&self, course: &str) {
        self.progress.at(&plain(course));
    }

    /// One more course is done.
    pub(super) fn advance(&self) {
        self.progress.advance();
    }

    /// Held while one line is read or written, and no longer.
    fn streams(&self) -> RefMut<'_, Streams> {
        self.streams.borrow_mut()
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_unread {
            return Ok(());
        }
        let write = || {
            let stdout = &mut self.streams().stdout;
            stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
        };
        match self.progress.aside(write) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_unread = true;
                Ok(())
            }
            result => Ok(result?),
        }
    }
}

/// Lines for people on stderr, where there is no output yet.
pub(super) fn tell_lines(stderr: &mut impl Write, text: &str) {
    for line in text.lines() {
        let _ = writeln!(stderr, "{}", plain(line));
    }
}

/// What a transformer says when it panics may quote a course. It is told before anything catches it.
/// Where the engine's library panics on damage, an error with a way out comes of it, which is enough.
pub(super) fn tell_panics_plainly() {
    panic::set_hook(Box::new(|panic| {
        if panic
            .location()
            .is_some_and(|place| place.file().contains(ENGINE))
        {
            return;
        }
        let said = panic_text(panic.payload()).unwrap_or("without a message");
        let place = panic.location().map(|place| format!(" at {place}"));
        let mut stderr = io::stderr().lock();
        let said = shortened(said);
        let line = format!("panicked{}: {said}", place.unwrap_or_default());
        let _ = writeln!(stderr, "{}", plain(&line));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            let _ = writeln!(stderr, "{backtrace}");
        }
    }));
}

/// Where the code of the engine's library is.
const ENGINE: &str = "sled-0.34.";

/// A terminal that is narrower shows it broken.
const MIN_COLUMNS: usize = 20;

fn unprintable(error: &serde_json::Error) -> Failure {
    Failure::no(format!("the answer has no form in JSON: {error}"))
}
