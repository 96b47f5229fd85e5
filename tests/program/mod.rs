//! The real program, run as an operator runs it, and courses made for it. Knows how to run
//! commands, not what they should answer.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

/// A directory with a store in it, both gone in the end.
pub(crate) struct Program {
    directory: tempfile::TempDir,
}

/// The program while it runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What was read of stderr so far.
    told: String,
}

/// What one run of the program said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    /// A path beside the store.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_courseblocks").as_ref(), arguments)
    }

    /// A command of another release, which is another program.
    pub(crate) fn command_of<S: AsRef<OsStr>>(&self, program: &Path, arguments: &[S]) -> Command {
        let mut command = Command::new(program);
        command
            .env_remove("COURSEBLOCKS_STORE")
            .current_dir(self.directory.path())
            .arg("--store")
            .arg(self.store())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    /// Begins to run a command.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Running {
        Running::of(self.command(arguments))
    }

    /// Runs a command with text on its stdin.
    pub(crate) fn run_with<S: AsRef<OsStr>>(&self, arguments: &[S], stdin: &str) -> Run {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        Run::of(child.wait_with_output().unwrap())
    }

    /// The answer in JSON, which every command promises to number.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Value {
        let run = self.run(&with_json(arguments));
        assert_eq!(run.status, 0, "{run:?}");
        run.json()
    }

    /// Imports what is at a path and expects no trouble.
    #[track_caller]
    pub(crate) fn import(&self, path: impl AsRef<Path>) -> Run {
        let run = self.run(&[OsStr::new("import"), path.as_ref().as_os_str()]);
        assert_eq!(run.status, 0, "{run:?}");
        run
    }
}

impl Running {
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            told: String::new(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said this on stderr.
    #[track_caller]
    pub(crate) fn until(&mut self, said: &str) {
        loop {
            let mut line = String::new();
            let is_over = self.stderr.read_line(&mut line).unwrap() == 0;
            self.told.push_str(&line);
            if line.contains(said) {
                return;
            }
            assert!(!is_over, "{said:?} is not in {:?}", self.told);
        }
    }

    /// Sends it a signal: INT, TERM, STOP, KILL.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; `None` is the status of one that was killed.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let mut stdout = String::new();
        let mut pipe = self.child.stdout.take().unwrap();
        pipe.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut self.told).unwrap();
        let status = self.child.wait().unwrap().code();
        (status, stdout, std::mem::take(&mut self.told))
    }

    /// Waits for its end by itself.
    #[track_caller]
    pub(crate) fn run(self) -> Run {
        let (status, stdout, stderr) = self.end();
        Run {
            status: status.expect("the program was not killed"),
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where a test has failed before its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().expect("the program was not killed"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let answer: Value = serde_json::from_str(&self.stdout).expect(&self.stdout);
        assert_eq!(answer["schema"], 1, "{}", self.stdout);
        answer
    }

    /// Expects an exit status, and that stderr is one line that says all of this.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: i32, said: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        for said in said {
            assert!(self.stderr.contains(said), "{said:?} is not in {self:?}");
        }
    }
}

pub(crate) fn with_json<S: AsRef<OsStr>>(arguments: &[S]) -> Vec<&OsStr> {
    let format = ["--format", "json"].map(OsStr::new);
    format
        .into_iter()
        .chain(arguments.iter().map(AsRef::as_ref))
        .collect()
}

/// The sample course that comes with the project.
pub(crate) fn demo_course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/courses/demo-course")
}

pub(crate) const DEMO: &str = "course-v1:CourseBlocks+DEMO+2026";

/// A small course: a chapter of some units, all of whose titles say `title`.
pub(crate) fn write_course(directory: &Path, run: &str, title: &str, units: usize) -> String {
    let mut course = String::new();
    write!(course, r#"<course display_name="{title}" start="2020-01-01T00:00:00Z"><chapter url_name="c" display_name="{title}"><sequential url_name="s" display_name="{title}">"#).unwrap();
    for unit in 0..units {
        write!(course, r#"<vertical url_name="v{unit}" display_name="{title}"><html url_name="h{unit}" display_name="{title}"><p>{unit}</p></html><problem url_name="p{unit}" display_name="{title}"/></vertical>"#).unwrap();
    }
    course.push_str("</sequential></chapter></course>");
    fs::create_dir_all(directory.join("course")).unwrap();
    let pointer = format!(r#"<course url_name="{run}" org="Org" course="C"/>"#);
    fs::write(directory.join("course.xml"), pointer).unwrap();
    fs::write(directory.join(format!("course/{run}.xml")), course).unwrap();
    format!("course-v1:Org+C+{run}")
}
