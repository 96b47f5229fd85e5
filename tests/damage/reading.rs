//! Everything that can be read of a store, held against what was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{env, fs, panic, process, thread};

use courseblocks::engine::{Commit, Durability, Engine, Key, SledEngine, SledOptions, Space};
use courseblocks::rollout::{Queue, Rollout};
use courseblocks::{CourseKey, Error, ErrorKind, Store};

/// What a damaged store comes to, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// All that was written is there.
    Intact,
    /// What is not as it was written is said to be damaged.
    Named,
    /// It does not open, and says why.
    Refused,
    /// It is an older state, and whatever would have told is damaged, too.
    Unnoticed,
    Violation,
}

impl Outcome {
    pub(crate) const ALL: [Self; 5] = [
        Self::Intact,
        Self::Named,
        Self::Refused,
        Self::Unnoticed,
        Self::Violation,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Named => "named",
            Self::Refused => "refused",
            Self::Unnoticed => "unnoticed",
            Self::Violation => "VIOLATION",
        }
    }
}

/// How a reader says what it came to.
const TOLD: &str = "came to: ";

/// How long a reader may take: some hundred times what it takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a reader ends that found something wrong, or an older value.
const WRONG: i32 = 98;
const OLDER: i32 = 97;

const SPACES: [Space; 3] = [Space::Records, Space::Courses, Space::Control];

/// Where a value is, and what it is.
type Values = BTreeMap<(Space, Vec<u8>, Vec<u8>), u64>;

/// Every value of an engine, a line each.
pub(crate) fn listed(engine: &dyn Engine) -> String {
    let mut lines = String::new();
    for (number, space) in SPACES.into_iter().enumerate() {
        for item in engine.scan(space, None) {
            let item = item.unwrap();
            let [partition, name] = [item.partition(), item.name()].map(hex);
            let sum = sum(item.value());
            writeln!(lines, "{number},{partition},{name},{sum}").unwrap();
        }
    }
    lines
}

/// What was listed.
fn written() -> Values {
    let listed = fs::read_to_string(env::var("COURSEBLOCKS_TEST_WRITTEN").unwrap()).unwrap();
    let value = |line: &str| {
        let mut fields = line.split(',');
        let mut next = || fields.next().unwrap();
        let space = SPACES[next().parse::<usize>().unwrap()];
        let [partition, name] = [next(), next()].map(unhex);
        ((space, partition, name), next().parse().unwrap())
    };
    listed.lines().map(value).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

/// FNV-1a: a value that is another one has another sum.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Reads everything in every way, writes, and reads again after closing and opening.
pub(crate) fn read(store: &Path) {
    // What sled panics with is caught; everything else ends this process.
    panic::set_hook(Box::new(|_| {}));
    let (done, is_done) = mpsc::channel::<()>();
    thread::spawn(move || {
        if is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("stands still");
            process::exit(99);
        }
    });
    let mut reader = Reader {
        written: written(),
        damaged: 0,
    };
    let mut outcome = Outcome::Intact;
    for turn in 0..2 {
        match SledEngine::open(store, &SledOptions::default()) {
            Ok(engine) => reader.read_all(engine),
            Err(error) => {
                println!("{}", chain(&error));
                check_refusal(&error, store);
                assert!(turn == 0 || reader.damaged > 0, "refused after being read");
                outcome = Outcome::Refused;
                break;
            }
        }
    }
    if outcome == Outcome::Intact && reader.damaged > 0 {
        outcome = Outcome::Named;
    }
    drop(done);
    println!("{TOLD}{}", outcome.name());
}

pub(crate) fn outcome(output: &Output) -> (Outcome, String) {
    let told = String::from_utf8_lossy(&output.stdout);
    let found = Outcome::ALL.into_iter().find(|outcome| {
        let line = format!("{TOLD}{}", outcome.name());
        told.lines().any(|told| told.ends_with(&line))
    });
    let outcome = match found {
        Some(outcome) if output.status.success() => outcome,
        _ if output.status.code() == Some(OLDER) => Outcome::Unnoticed,
        _ => Outcome::Violation,
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    (outcome, format!("{:?}: {told} {stderr}", output.status))
}

/// Whether it says what can be done.
pub(crate) fn is_helpful(message: &str) -> bool {
    [
        "restore",
        "use the release",
        "remove",
        "cannot be",
        "name a store",
    ]
    .iter()
    .any(|way_out| message.contains(way_out))
}

fn chain(error: &Error) -> String {
    let mut text = format!("{:?}: {error}", error.kind());
    let mut cause = std::error::Error::source(error);
    while let Some(known) = cause {
        write!(text, ": {known}").unwrap();
        cause = known.source();
    }
    text
}

fn check_refusal(error: &Error, store: &Path) {
    let kinds = [ErrorKind::Damaged, ErrorKind::Storage, ErrorKind::TooNew];
    let text = error.to_string();
    let is_told = text.contains(&store.display().to_string()) && is_helpful(&text);
    check(kinds.contains(&error.kind()) && is_told, || text);
}

/// Ends the process, as a panic that is caught somewhere would not.
fn check(is_right: bool, what: impl FnOnce() -> String) {
    check_or(WRONG, is_right, what);
}

fn check_or(status: i32, is_right: bool, what: impl FnOnce() -> String) {
    if !is_right {
        println!("wrong: {}", what());
        process::exit(status);
    }
}

struct Reader {
    written: Values,
    damaged: usize,
}

impl Reader {
    fn read_all(&mut self, engine: SledEngine) {
        let keys: Vec<_> = self.written.keys().cloned().collect();
        for key in keys {
            let (space, partition, name) = &key;
            let found = engine.get(Key::new(*space, partition, name));
            let found = found.map(|value| value.map(|value| sum(&value)));
            self.compare(&key, found);
        }
        for space in SPACES {
            self.scan(&engine, space);
        }
        let engine: Arc<dyn Engine> = Arc::new(engine);
        self.interpret(&Store::with_engine(engine.clone()));
        // Whatever comes of it, it must not make anything else of what is there.
        let mut commit = Commit::new();
        commit.put(Space::Control, "written later", "value");
        let committed = engine.commit(b"zzz", &commit, Durability::Durable);
        if let Err(error) = committed {
            self.note(&error);
        }
    }

    fn compare(
        &mut self,
        key: &(Space, Vec<u8>, Vec<u8>),
        found: courseblocks::Result<Option<u64>>,
    ) {
        let (space, partition, name) = key;
        match found {
            Ok(found) => check_or(OLDER, found.as_ref() == self.written.get(key), || {
                let [partition, name] = [partition, name].map(|it| String::from_utf8_lossy(it));
                format!("{space:?} {partition:?} {name:?}: {found:?}")
            }),
            Err(error) => self.note(&error),
        }
    }

    fn note(&mut self, error: &Error) {
        self.damaged += 1;
        if self.damaged < 3 {
            println!("{}", chain(error));
        }
        check(error.kind() == ErrorKind::Damaged, || chain(error));
    }

    /// A scan leaves nothing out without saying so.
    fn scan(&mut self, engine: &SledEngine, space: Space) {
        let written = self.written.keys().filter(|key| key.0 == space);
        let written: Vec<_> = written.cloned().collect();
        let mut next = 0;
        let mut may_leave_out = false;
        for item in engine.scan(space, None) {
            let item = match item {
                Ok(item) => item,
                Err(error) => {
                    may_leave_out = true;
                    self.note(&error);
                    continue;
                }
            };
            let key = (space, item.partition().to_vec(), item.name().to_vec());
            if key.1 == b"zzz" {
                continue;
            }
            let place = written.binary_search(&key);
            let is_next = place.is_ok_and(|place| place == next || may_leave_out && place > next);
            check_or(OLDER, is_next, || {
                format!("{space:?}: {next} is not {place:?}")
            });
            self.compare(&key, Ok(Some(sum(item.value()))));
            next = place.map_or(next, |place| place + 1);
            may_leave_out = false;
        }
        check_or(OLDER, may_leave_out || next == written.len(), || {
            format!("{space:?}: only {next} of {}", written.len())
        });
    }

    /// What is made of the values by those who know what they mean.
    fn interpret(&mut self, store: &Store) {
        for found in store.courses() {
            let entry = found.and_then(|(_, entry)| entry);
            self.note_if_any(entry);
        }
        let courses = self.written.keys();
        let courses = courses.filter(|(space, ..)| *space == Space::Courses);
        let courses: Vec<CourseKey> = courses
            .map(|(_, partition, _)| std::str::from_utf8(partition).unwrap().parse().unwrap())
            .collect();
        for course in courses {
            let checked = store.check(&course);
            match checked {
                Ok(checked) => self.damaged += checked.damages(&course).len(),
                Err(error) => self.note(&error),
            }
        }
        self.note_if_any(store.floors());
        self.note_if_any(Rollout::new(store).history());
        for task in Queue::new(store).tasks() {
            self.note_if_any(task);
        }
    }

    fn note_if_any<T>(&mut self, found: courseblocks::Result<T>) {
        if let Err(error) = found {
            self.note(&error);
        }
    }
}
