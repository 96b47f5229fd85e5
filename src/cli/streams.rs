//! What a command reads and where it writes: the streams of the process, or those that a host hands
//! it. Knows streams, not what goes through them.

use std::fmt;
use std::io::{self, IsTerminal, Read, Write};

/// Stdin, stdout and stderr of a command that [`run`](super::run()) runs.
pub struct Streams {
    pub(super) stdin: Box<dyn Read>,
    pub(super) stdout: Box<dyn Write>,
    pub(super) stderr: Box<dyn Write>,
    // Invariant: true only if all of them are those of the process.
    are_of_process: bool,
}

impl Streams {
    /// Those of the process. Stdout is locked until the command ends.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            stdin: Box::new(io::stdin()),
            stdout: Box::new(io::stdout().lock()),
            stderr: Box::new(io::stderr()),
            are_of_process: true,
        }
    }

    /// Those of a host. None of them counts as a terminal: there are no colours, no progress bar and
    /// no questions.
    #[must_use]
    pub fn new(
        stdin: impl Read + 'static,
        stdout: impl Write + 'static,
        stderr: impl Write + 'static,
    ) -> Self {
        Self {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            are_of_process: false,
        }
    }

    pub(super) fn are_of_process(&self) -> bool {
        self.are_of_process
    }

    pub(super) fn reads_a_terminal(&self) -> bool {
        self.are_of_process && io::stdin().is_terminal()
    }

    pub(super) fn writes_to_a_terminal(&self) -> bool {
        self.are_of_process && io::stdout().is_terminal()
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("are_of_process", &self.are_of_process)
            .finish_non_exhaustive()
    }
}
