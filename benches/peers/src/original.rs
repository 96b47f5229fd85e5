//! The Python baseline as a process that answers one JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../original/original.py");

/// Python 3.11 reads dates as they are exported.
const LEAST_MINOR: u32 = 11;

/// A running baseline.
pub(crate) struct Original {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    python: String,
}

/// What the baseline stores of a course.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) blocks: u64,
    pub(crate) compressed_bytes: u64,
}

impl Original {
    /// Starts the baseline.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(crate) fn start() -> Result<Self, String> {
        let started = Command::new("python3")
            .args(["-B", PROGRAM, "--serve"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for this process, which ends the other.
            .process_group(0)
            .spawn();
        let mut process = started.map_err(|error| format!("python3 does not run: {error}"))?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (commands, answers) = pipes.ok_or("python3 has no pipes")?;
        let mut original = Self {
            process,
            commands,
            answers: BufReader::new(answers),
            python: String::new(),
        };
        let hello = original.answer()?;
        let python = hello["python"].as_str();
        python.unwrap_or_default().clone_into(&mut original.python);
        if is_new_enough(&original.python) {
            Ok(original)
        } else {
            Err(format!(
                "python3 is {}, and the baseline needs 3.{LEAST_MINOR}",
                original.python
            ))
        }
    }

    /// The version of Python.
    pub(crate) fn python(&self) -> &str {
        &self.python
    }

    /// Stores a course that was exported to a file, under a name.
    pub(crate) fn load(&mut self, name: &str, path: &Path) -> Stored {
        stored(&self.ask(&json!({"command": "load", "name": name, "path": path})))
    }

    /// What storing a course that was exported to a file takes.
    pub(crate) fn sizes(&mut self, path: &Path) -> Stored {
        stored(&self.ask(&json!({"command": "sizes", "path": path})))
    }

    /// How long the named work takes, by the baseline's own clock.
    pub(crate) fn time(&mut self, name: &str, work: &str) -> Duration {
        self.seconds(&json!({"command": "time", "name": name, "work": work}))
    }

    /// How long it takes to find the start date of one block.
    pub(crate) fn time_of_field(&mut self, name: &str, position: usize) -> Duration {
        let work = json!({
            "command": "time", "name": name, "work": "field", "positions": [position],
        });
        self.seconds(&work)
    }

    /// The keys of what a visitor sees, sorted.
    pub(crate) fn visible(&mut self, name: &str) -> Vec<String> {
        let answer = self.ask(&json!({"command": "visible", "name": name}));
        let keys = answer["keys"].as_array().expect("keys").iter();
        keys.map(|key| key.as_str().expect("a key").to_owned())
            .collect()
    }

    /// When the block at a position opens, in microseconds since 1970.
    pub(crate) fn start_of(&mut self, name: &str, position: usize) -> i64 {
        let answer = self.ask(&json!({"command": "field", "name": name, "position": position}));
        answer["micros"].as_i64().expect("a number")
    }

    fn seconds(&mut self, command: &Value) -> Duration {
        let answer = self.ask(command);
        Duration::from_secs_f64(answer["seconds"].as_f64().expect("seconds"))
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.commands, "{command}").expect("the baseline listens");
        self.commands.flush().expect("the baseline listens");
        self.answer().expect("the baseline answers")
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.map_err(|error| format!("the baseline says nothing: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("the baseline says {line:?}: {error}"))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes a course to a file as the baseline reads it.
pub(crate) fn export(course: &Value, path: &Path) {
    let file = BufWriter::new(File::create(path).expect("a file"));
    serde_json::to_writer(file, course).expect("written");
}

fn is_new_enough(python: &str) -> bool {
    let mut numbers = python.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(3)), Some(Ok(minor))) => minor >= LEAST_MINOR,
        (Some(Ok(major)), _) => major > 3,
        _ => false,
    }
}

fn stored(answer: &Value) -> Stored {
    let number = |name: &str| answer[name].as_u64().expect("a number");
    Stored {
        blocks: number("blocks"),
        compressed_bytes: number("compressed_bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_python_is_refused() {
        let known = ["3.11.7", "3.9.2", "3.14.0rc1", "2.7.18", "4.0", "", "pypy"];
        let expected = [true, false, true, false, true, false, false];
        assert_eq!(known.map(is_new_enough), expected);
    }
}
