//! Where answers go: stdout for answers, stderr for people. All text passes through here, so
//! nothing that a course says reaches a terminal as a command. Knows lines and JSON, not commands.

use std::io::{self, StdoutLock, Write};

use serde::Serialize;

use super::Format;
use super::failure::Failure;
use super::progress::Progress;
use super::table::Table;
use super::text::{plain, plain_json};

/// Stdout, stderr and the progress bar between them.
#[derive(Debug)]
pub(super) struct Output {
    format: Format,
    stdout: StdoutLock<'static>,
    progress: Progress,
    /// The reader of stdout has gone. It has seen enough; the work goes on without words.
    is_unread: bool,
    /// The items of a list in JSON so far, while one is open.
    items: Option<usize>,
}

impl Output {
    /// Answers in `format`.
    pub(super) fn new(format: Format, progress: Progress) -> Self {
        Self {
            format,
            stdout: io::stdout().lock(),
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

    /// A table, its head first.
    pub(super) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        for line in table.lines() {
            self.line(&line)?;
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
            let _ = writeln!(io::stderr().lock(), "{}", plain(line));
        });
    }

    /// Begins to count courses.
    pub(super) fn begin_progress(&mut self, courses: usize) {
        self.progress.begin(courses);
    }

    /// Says which course it is now.
    pub(super) fn at(&self, course: &str) {
        self.progress.at(&plain(course));
    }

    /// One more course is done.
    pub(super) fn advance(&self) {
        self.progress.advance();
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.is_unread {
            return Ok(());
        }
        let stdout = &mut self.stdout;
        let write = || {
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

fn unprintable(error: &serde_json::Error) -> Failure {
    Failure::no(format!("the answer has no form in JSON: {error}"))
}
