//! The operator's command line: arguments in, answers out. It decides nothing about courses that
//! the library does not decide, and it alone prints and reads the clock and the environment.

mod arguments;
mod backup;
mod blocks;
mod courses;
mod demo;
mod failure;
mod get;
mod import;
mod ink;
mod inspect;
mod interrupt;
mod json;
mod output;
mod pause;
mod problems;
mod progress;
mod queue;
mod requested;
mod restore;
mod rollout;
mod session;
mod sources;
mod streams;
mod structure;
mod table;
mod text;
mod transfer;
mod update;
mod user;
mod verify;
mod worker;

pub use failure::Exit;
pub use streams::Streams;

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::engine::{SharedEngine, SledOptions};
use crate::error::Result;
use crate::manager::Manager;
use crate::rollout::Notice;
use crate::store::Store;
use crate::transformer::Registry;
use failure::{Answer, Failure, explain};
use output::Output;
use progress::Progress;
use session::{Identity, Session};
use sources::Sources;

/// Runs the command line with the transformers of `registry`, and answers with its exit status:
/// 0 yes or done, 1 no or some failed, 2 bad usage, 3 the store failed.
///
/// A deployment with transformers of its own has every command by this:
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use courseblocks::Registry;
///
/// fn main() -> ExitCode {
///     let registry = Registry::standard(); // .register(…) its own beside them
///     courseblocks::cli::main(registry)
/// }
/// ```
#[must_use]
pub fn main(registry: Registry) -> ExitCode {
    output::tell_panics_plainly();
    run(registry, env::args_os(), Streams::of_process()).into()
}

/// Runs the command line as [`main`] does, within a process of the host: with these arguments, of
/// which the first is what the program is called, and with these streams.
///
/// The clock and the environment are those of the process. `worker` listens to its signals.
///
/// ```
/// use std::io;
///
/// use courseblocks::Registry;
/// use courseblocks::cli::{self, Exit, Streams};
///
/// let streams = Streams::new(io::empty(), io::sink(), io::sink());
/// let exit = cli::run(Registry::standard(), ["blocks-admin", "--version"], streams);
/// assert_eq!(exit, Exit::Done);
/// assert_eq!(exit.status(), 0);
/// ```
#[must_use]
pub fn run<A>(registry: Registry, arguments: A, mut streams: Streams) -> Exit
where
    A: IntoIterator,
    A::Item: Into<OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let program = arguments.first().cloned();
    let Arguments { global, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(refused) => return tell_usage(&refused, &mut streams),
    };
    let progress = if global.no_progress || !streams.are_of_process() {
        Progress::never()
    } else {
        Progress::on_a_terminal()
    };
    let mut output = Output::new(global.format, progress, streams);
    let context = Context {
        identity: Identity {
            worker: global.worker.unwrap_or_else(|| command.worker_name()),
            release: global.release.unwrap_or_else(|| release_name(&registry)),
            lasts: LEASE,
        },
        program: program.map(PathBuf::from),
        store: global.store,
        registry: Arc::new(registry),
        verbose: global.verbose,
    };
    let answer = command.run(&context, &mut output);
    let finished = output.finish();
    match answer.and_then(|answer| finished.map(|()| answer)) {
        Ok(answer) => answer.into(),
        Err(failure) => {
            output.notice(&format!("error: {failure}"));
            failure.into()
        }
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "courseblocks",
    version,
    about = "Keeps what transformers collect from Open edX courses, versioned",
    after_help = "Exit status: 0 yes or done, 1 no or some failed, 2 bad usage, 3 the store failed."
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Where the store is
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = STORE_VARIABLE,
        default_value = DEFAULT_STORE,
        value_hint = ValueHint::DirPath
    )]
    store: PathBuf,
    /// How answers are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Never draw a progress bar; without this there is one on a terminal
    #[arg(long, global = true)]
    no_progress: bool,
    /// What this process is called in the fleet; without it, the command and its process id
    #[arg(long, global = true, value_name = "NAME")]
    worker: Option<String>,
    /// What this release is called in the fleet; without it, its hash of all WRITE versions
    #[arg(
        long,
        global = true,
        value_name = "LABEL",
        env = "COURSEBLOCKS_RELEASE"
    )]
    release: Option<String>,
    /// Tell more: every problem of a course, everything that is up to date
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; its form may change
    Text,
    /// For programs; its form is a promise and carries a schema number
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Import),
    Courses(courses::Courses),
    Delete(courses::Delete),
    Structure(structure::Structure),
    Get(get::Get),
    Blocks(blocks::Blocks),
    Inspect(inspect::Inspect),
    Update(update::Update),
    Worker(worker::Worker),
    Queue(queue::Queue),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Rollout(rollout::Rollout),
    Verify(verify::Verify),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Demo(demo::Demo),
}

impl Command {
    fn run(&self, context: &Context, output: &mut Output) -> Result<Answer, Failure> {
        match self {
            Self::Import(command) => command.run(context, output),
            Self::Courses(command) => command.run(context, output),
            Self::Delete(command) => command.run(context, output),
            Self::Structure(command) => command.run(context, output),
            Self::Get(command) => command.run(context, output),
            Self::Blocks(command) => command.run(context, output),
            Self::Inspect(command) => command.run(context, output),
            Self::Update(command) => command.run(context, output),
            Self::Worker(command) => command.run(context, output),
            Self::Queue(command) => command.run(context, output),
            Self::Pause(command) => command.run(context, output),
            Self::Resume(command) => command.run(context, output),
            Self::Rollout(command) => command.run(context, output),
            Self::Verify(command) => command.run(context, output),
            Self::Backup(command) => command.run(context, output),
            Self::Restore(command) => command.run(context, output),
            Self::Demo(command) => command.run(output),
        }
    }

    /// What a process that runs it is called, if nobody says.
    fn worker_name(&self) -> String {
        let command = match self {
            Self::Import(_) => "import",
            Self::Courses(_) => "courses",
            Self::Delete(_) => "delete",
            Self::Structure(_) => "structure",
            Self::Get(_) => "get",
            Self::Blocks(_) => "blocks",
            Self::Inspect(_) => "inspect",
            Self::Update(_) => "update",
            Self::Worker(_) => "worker",
            Self::Queue(_) => "queue",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Rollout(_) => "rollout",
            Self::Verify(_) => "verify",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Demo(_) => "demo",
        };
        format!("{command}-{}", std::process::id())
    }
}

/// What all commands share.
struct Context {
    /// As the program was called.
    program: Option<PathBuf>,
    store: PathBuf,
    registry: Arc<Registry>,
    identity: Identity,
    verbose: bool,
}

impl Context {
    /// The store that is there. A mistyped path must not become an empty store.
    fn open(&self) -> Result<Arc<Store>, Failure> {
        if !self.store.is_dir() {
            let place = self.store.display();
            let advice = "`import` creates one, `--store` says where it is";
            return Err(Failure::store(format!(
                "there is no store at {place}; {advice}"
            )));
        }
        self.open_or_create()
    }

    /// Other commands may use it at the same time: one can be paused by another.
    fn open_or_create(&self) -> Result<Arc<Store>, Failure> {
        let engine = SharedEngine::open(&self.store, &SledOptions::default());
        let engine = engine.map_err(|error| Failure::opening(&error))?;
        Ok(Arc::new(Store::with_engine(Arc::new(engine))))
    }

    /// The release that this program is, at work on its store.
    fn manager(&self) -> Result<Session, Failure> {
        self.manager_for(self.identity.lasts)
    }

    /// The same for a command that only reads, unless something must be collected first. It
    /// answers on a full disk, too.
    fn reader(&self, output: &Output) -> Result<Session, Failure> {
        let manager = self.unjoined()?;
        let (session, unjoined) = Session::begin_reading(manager, &self.identity)?;
        if let Some(error) = unjoined {
            let error = explain(&error);
            output.notice(&format!(
                "warning: only what is stored already can be answered: {error}"
            ));
        }
        Ok(session)
    }

    fn unjoined(&self) -> Result<Manager, Failure> {
        let store = self.open()?;
        let sources = Arc::new(Sources::new(Arc::clone(&store)));
        Ok(Manager::new(store, Arc::clone(&self.registry), sources))
    }

    /// The release that this program is, with a lease that lasts so long.
    fn manager_for(&self, lasts: Duration) -> Result<Session, Failure> {
        let manager = self.unjoined()?;
        let identity = Identity {
            lasts,
            ..self.identity.clone()
        };
        Ok(Session::begin(manager, &identity)?)
    }

    fn join(&self, manager: Manager) -> Result<Session, Failure> {
        Ok(Session::begin(manager, &self.identity)?)
    }

    /// Says what a release that collects should know of floors and gates.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn tell_notices(&self, session: &Session, output: &Output) {
        for notice in session.notices() {
            output.notice(&format!("note: {notice}"));
        }
    }

    /// Says what a release that asks about gates should know of floors.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn tell_floors(&self, session: &Session, output: &Output) {
        let is_floor = |notice: &&Notice| matches!(notice, Notice::BelowFloor { .. });
        for notice in session.notices().iter().filter(is_floor) {
            output.notice(&format!("note: {notice}"));
        }
    }

    /// A command of this program as it is typed, for this store.
    fn command(&self, command: &str) -> String {
        let program = self.program.as_deref().and_then(Path::file_name);
        let program = program.map_or("courseblocks".into(), |name| name.to_string_lossy());
        let usual = env::var_os(STORE_VARIABLE).unwrap_or_else(|| DEFAULT_STORE.into());
        let store = if self.store.as_os_str() == usual {
            String::new()
        } else {
            format!(" --store {}", quoted(&self.store.to_string_lossy()))
        };
        format!("{}{store} {command}", quoted(&program))
    }

    /// All of the release's transformers in order, or those that were named.
    fn transformers<'a>(&'a self, named: &'a [String]) -> Result<Vec<&'a str>, Failure> {
        if named.is_empty() {
            return Ok(self.registry.names().collect());
        }
        for name in named {
            self.registry.versions(name)?;
        }
        Ok(named.iter().map(String::as_str).collect())
    }
}

const STORE_VARIABLE: &str = "COURSEBLOCKS_STORE";
const DEFAULT_STORE: &str = "./courseblocks-data";

/// A word as a shell takes it for itself.
fn quoted(word: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || "-_./+@:=%,".contains(c);
    if !word.is_empty() && word.chars().all(is_safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// How long a process that does not say that it is alive counts as alive.
const LEASE: Duration = Duration::from_secs(30);

/// A name for a release that was given none: the same for all processes with the same
/// transformers and WRITE versions.
fn release_name(registry: &Registry) -> String {
    const LENGTH: usize = 8;
    let hash = registry.write_version_hash();
    hash.chars().take(LENGTH).collect()
}

/// Help and version are answers, everything else that clap says is bad usage. It repeats what was
/// typed, which a script may have taken from a course. Who closed the pipe has seen enough.
fn tell_usage(refused: &clap::Error, streams: &mut Streams) -> Exit {
    if refused.use_stderr() {
        output::tell_lines(&mut streams.stderr, &refused.render().to_string());
        return Exit::Usage;
    }
    // To the streams of the process in colour, where they are a terminal.
    let _ = if streams.are_of_process() {
        refused.print()
    } else {
        let told = refused.render().to_string();
        streams.stdout.write_all(told.as_bytes())
    };
    Exit::Done
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    use clap::CommandFactory;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check_run(arguments: &[&str], stdin: &'static str, expected: (Exit, &str, &str)) {
        let [stdout, stderr] = [Written::default(), Written::default()];
        let streams = Streams::new(stdin.as_bytes(), stdout.clone(), stderr.clone());
        let exit = run(Registry::standard(), arguments, streams);
        let text = |written: &Written| String::from_utf8(written.0.borrow().clone()).unwrap();
        let (told, warned) = (text(&stdout), text(&stderr));
        assert_eq!(exit, expected.0, "{told}{warned}");
        assert!(told.starts_with(expected.1), "{told}");
        assert!(warned.starts_with(expected.2), "{warned}");
        assert_eq!(told.is_empty(), expected.1.is_empty(), "{told}");
        assert_eq!(warned.is_empty(), expected.2.is_empty(), "{warned}");
    }

    #[test]
    fn a_host_gives_arguments_and_streams_and_is_told_how_it_ended() {
        let version = format!("courseblocks {}\n", env!("CARGO_PKG_VERSION"));
        check_run(&["admin", "--version"], "", (Exit::Done, &version, ""));
        let refused = "error: unrecognized subcommand 'fly'";
        check_run(&["admin", "fly"], "", (Exit::Usage, "", refused));
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        let store = store.to_str().unwrap();
        let courses = ["admin", "--store", store, "courses"];
        let refused = "error: there is no store at ";
        check_run(&courses, "", (Exit::Store, "", refused));
        std::fs::create_dir(store).unwrap();
        let answer = "{\"schema\":1,";
        let json = ["--format", "json"];
        check_run(
            &[&courses[..], &json].concat(),
            "",
            (Exit::Done, answer, ""),
        );
        let blocks = ["admin", "--store", store, "blocks", "course-v1:O+C+R"];
        let blocks = [&blocks[..], &["--user", "-"]].concat();
        let refused = "error: --user -: line 1, column ";
        check_run(&blocks, "{\"fly\": true}", (Exit::Usage, "", refused));
        check_run(&blocks, "{}", (Exit::Incomplete, "", "error: "));
        let retire = ["admin", "--store", store, "rollout", "retire", "start_date"];
        // Nobody is asked whether it is meant where there is no terminal.
        let refused = "error: it deletes data: --yes";
        check_run(&retire, "yes\n", (Exit::Usage, "", refused));
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_what_its_exit_status_means() {
        let mut commands = vec![Arguments::command()];
        while let Some(command) = commands.pop() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let after_help = command.get_after_help().map(ToString::to_string);
            let after_help = after_help.unwrap_or_default();
            assert!(
                after_help.contains("Exit status: 0"),
                "{name}: {after_help:?}"
            );
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_something_else() {
        for (word, expected) in [
            ("/var/lib/store", "/var/lib/store"),
            ("course-v1:O+C+R", "course-v1:O+C+R"),
            ("my store", "'my store'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
