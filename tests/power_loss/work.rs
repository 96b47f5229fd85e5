//! What a process commits while it is recorded, and what must be there of it afterwards. It must
//! not know how a power failure is made.
//!
//! What a commit writes follows from the seed, the thread and its number alone, so that whoever
//! finds the first `n` commits knows every byte that there must be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Key, SledEngine, SledOptions, Space,
};

use crate::choices::{Choices, Seeded};

const SPACES: [Space; 3] = [Space::Records, Space::Courses, Space::Control];

/// Under which a thread's last commit has its number.
const LAST: &[u8] = b"last";

/// What is committed, by how many threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) seed: u64,
    pub(crate) threads: u32,
    pub(crate) commits: u32,
}

/// How far a thread had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last commit that was begun.
    pub(crate) begun: u32,
    /// The last one that was called durable.
    pub(crate) durable: u32,
}

/// What a step does beside its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Buffered,
    Durable,
    Flush,
    Reopen,
}

type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

impl Work {
    /// Does it all on the store at `path`, after what is there of it, saying at each step what is
    /// begun and what is durable.
    pub(crate) fn run(self, path: &Path, marks: &Path) {
        let marks = Mutex::new(File::options().write(true).open(marks).unwrap());
        let mark = |thread: u32, what: &str, number: u32| {
            let mark = format!("{what} {thread} {number}\n");
            // In one piece, and in its place.
            marks.lock().unwrap().write_all(mark.as_bytes()).unwrap();
        };
        let options = SledOptions::default().cache_bytes(1 << 20);
        let open = || SledEngine::open(path, &options).unwrap();
        let mut engine = open();
        let found = self.found(&engine).unwrap();
        for (thread, found) in (0..).zip(&found) {
            mark(thread, "begun", *found);
        }
        if let [found] = *found {
            for number in found + 1..=found + self.commits {
                let step = self.step(0, number);
                mark(0, "begun", number);
                self.commit(0, number).apply(&engine, step);
                match step {
                    Step::Buffered => continue,
                    Step::Durable => {}
                    Step::Flush => engine.flush().unwrap(),
                    Step::Reopen => {
                        drop(engine);
                        engine = open();
                    }
                }
                mark(0, "durable", number);
            }
            return;
        }
        thread::scope(|scope| {
            for (thread, found) in (0..).zip(found) {
                let (engine, mark) = (&engine, &mark);
                scope.spawn(move || {
                    for number in found + 1..=found + self.commits {
                        let step = self.step(thread, number);
                        mark(thread, "begun", number);
                        self.commit(thread, number).apply(engine, step);
                        match step {
                            Step::Buffered => continue,
                            Step::Durable => {}
                            Step::Flush | Step::Reopen => engine.flush().unwrap(),
                        }
                        mark(thread, "durable", number);
                    }
                });
            }
        });
    }

    /// Commits once more for each thread.
    pub(crate) fn go_on(self, engine: &dyn Engine, found: &[u32]) {
        for (thread, found) in (0..).zip(found) {
            self.commit(thread, found + 1).apply(engine, Step::Durable);
        }
    }

    /// As [`run`](Self::run), with sled as it is: each commit is a transaction and a flush.
    pub(crate) fn run_on_sled_alone(self, path: &Path, marks: &Path) {
        let mut marks = File::options().write(true).open(marks).unwrap();
        let db = open_sled_alone(path).unwrap();
        for number in 1..=self.commits {
            let mut mark = |what: &str| {
                let mark = format!("{what} 0 {number}\n");
                marks.write_all(mark.as_bytes()).unwrap();
            };
            mark("begun");
            let commit = self.commit(0, number);
            db.transaction(|db| {
                for ((space, name), value) in &commit.writes {
                    let key = sled_key(*space, name);
                    match value {
                        Some(value) => db.insert(key, value.bytes())?,
                        None => db.remove(key)?,
                    };
                }
                Ok::<_, sled::transaction::ConflictableTransactionError<()>>(())
            })
            .unwrap();
            if self.step(0, number) != Step::Buffered {
                db.flush().unwrap();
                mark("durable");
            }
        }
    }

    /// Nothing yet.
    pub(crate) fn no_progress(self) -> Vec<Progress> {
        vec![Progress::default(); self.threads as usize]
    }

    /// How far each thread had come by these marks, having come this far before.
    pub(crate) fn progress<'a>(
        before: &[Progress],
        marks: impl Iterator<Item = &'a str>,
    ) -> Vec<Progress> {
        let mut progress = before.to_vec();
        for mark in marks {
            let mut words = mark.split(' ');
            let what = words.next().unwrap();
            let [thread, number] = [(); 2].map(|()| words.next().unwrap().parse().unwrap());
            let progress: &mut Progress = &mut progress[thread as usize];
            match what {
                "begun" => progress.begun = number,
                "durable" => progress.durable = number,
                _ => panic!("a mark {mark:?}"),
            }
        }
        progress
    }

    /// How many commits of each thread an engine has, or what is wrong with them.
    pub(crate) fn found(self, engine: &dyn Engine) -> Result<Vec<u32>, String> {
        (0..self.threads)
            .map(|thread| self.found_of(thread, engine))
            .collect()
    }

    fn found_of(self, thread: u32, engine: &dyn Engine) -> Result<u32, String> {
        let partition = partition(thread);
        let mut rows = Rows::new();
        for space in SPACES {
            for item in engine.scan(space, Some(&partition)) {
                let item = item.map_err(|error| format!("unreadable: {error:?}"))?;
                let value = item.value().to_vec();
                // What a scan finds is what is found by name.
                let key = Key::new(space, &partition, item.name());
                let got = engine
                    .get(key)
                    .map_err(|error| format!("unreadable: {error:?}"))?;
                if got.as_deref() != Some(&value) {
                    return Err("a scan and a get disagree".to_owned());
                }
                rows.insert((space, item.name().to_vec()), value);
            }
        }
        self.judge(thread, &rows)
    }

    /// As [`found`](Self::found), with sled as it is.
    pub(crate) fn found_on_sled_alone(self, path: &Path) -> Result<Vec<u32>, String> {
        let db = open_sled_alone(path).map_err(|error| format!("does not open: {error}"))?;
        let mut rows = Rows::new();
        for item in db.iter() {
            let (key, value) = item.map_err(|error| format!("unreadable: {error}"))?;
            let (space, name) = key.split_first().unwrap();
            rows.insert((SPACES[usize::from(*space)], name.to_vec()), value.to_vec());
        }
        Ok(vec![self.judge(0, &rows)?])
    }

    fn judge(self, thread: u32, rows: &Rows) -> Result<u32, String> {
        let last = rows.get(&(Space::Control, LAST.to_vec()));
        let last = last.map_or(Ok(0), |last| {
            let last = last.as_slice().try_into();
            last.map(u32::from_le_bytes)
                .map_err(|_| "the last number is none".to_owned())
        })?;
        let mut expected = BTreeMap::new();
        for number in 1..=last {
            for (key, value) in self.commit(thread, number).writes {
                match value {
                    Some(value) => expected.insert(key, value),
                    None => expected.remove(&key),
                };
            }
        }
        let expected = expected.into_iter();
        let expected: Rows = expected.map(|(key, value)| (key, value.bytes())).collect();
        if *rows == expected {
            return Ok(last);
        }
        let told = |(key, value): (&(Space, Vec<u8>), &Vec<u8>)| {
            let number = value
                .first_chunk()
                .map(|number| u32::from_le_bytes(*number));
            format!("{:?} {:?} of commit {number:?}", key.0, key.1)
        };
        let missing = expected
            .iter()
            .filter(|(key, value)| rows.get(*key) != Some(*value));
        let wrong = rows
            .iter()
            .filter(|(key, value)| expected.get(*key) != Some(*value));
        Err(format!(
            "half of something, by the last commit {last}: missing {:?}, there instead {:?}",
            missing.map(told).collect::<Vec<_>>(),
            wrong.map(told).collect::<Vec<_>>(),
        ))
    }

    fn choices(self, thread: u32, number: u32) -> Seeded {
        let seed = self.seed ^ (u64::from(thread) << 32 | u64::from(number)).wrapping_mul(0x9e37);
        Seeded::new(seed)
    }

    fn step(self, thread: u32, number: u32) -> Step {
        // Some work waits for the disk most of the time, some hardly ever.
        let buffered = [1, 6, 20, 60][(self.seed % 4) as usize];
        let mut choices = self.choices(thread, number);
        choices.weighted(&[
            (buffered * 4, Step::Buffered),
            (12, Step::Durable),
            (3, Step::Flush),
            (1, Step::Reopen),
        ])
    }

    fn commit(self, thread: u32, number: u32) -> Writes {
        let mut choices = self.choices(thread, number);
        let _ = choices.below(2);
        // Small rows only, records of all sizes, and such as do not fit into a segment of sled's.
        let kind = self.seed / 4 % 3;
        let mut writes = BTreeMap::new();
        let count = choices.weighted(&[(6, 1), (3, 4), (1, 12)]);
        for _ in 0..count {
            let name = format!("name {}", choices.below(30)).into_bytes();
            let space = choices.one_of(&SPACES);
            let len = match (kind, space) {
                (0, _) | (_, Space::Courses | Space::Control) => choices.below(600),
                (1, _) => choices.weighted(&[(4, 3_000), (4, 20_000), (2, 90_000), (1, 300_000)]),
                _ => choices.weighted(&[(8, 20_000), (1, 550_000)]),
            };
            let value = (!choices.happens(1, 10)).then_some(Value { number, len });
            writes.insert((space, name), value);
        }
        let last = Some(Value { number, len: 4 });
        writes.insert((Space::Control, LAST.to_vec()), last);
        Writes { thread, writes }
    }
}

/// What one commit writes.
#[derive(Debug)]
struct Writes {
    thread: u32,
    writes: BTreeMap<(Space, Vec<u8>), Option<Value>>,
}

/// The number of a commit, and bytes that follow from it and from their places.
#[derive(Clone, Copy, Debug)]
struct Value {
    number: u32,
    len: u32,
}

impl Writes {
    fn apply(self, engine: &dyn Engine, step: Step) {
        let mut commit = Commit::new();
        for ((space, name), value) in self.writes {
            match value {
                Some(value) => commit.put(space, name, value.bytes()),
                None => commit.delete(space, name),
            }
        }
        let durability = match step {
            Step::Durable => Durability::Durable,
            _ => Durability::Buffered,
        };
        let outcome = engine.commit(&partition(self.thread), &commit, durability);
        assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
    }
}

impl Value {
    fn bytes(self) -> Vec<u8> {
        let len = self.len.max(4) as usize;
        let mut bytes = Vec::with_capacity(len + 8);
        bytes.extend(self.number.to_le_bytes());
        let mut state = u64::from(self.number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while bytes.len() < len {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

fn partition(thread: u32) -> Vec<u8> {
    format!("thread {thread}").into_bytes()
}

/// With what [`SledEngine`] opens it with.
fn open_sled_alone(path: &Path) -> sled::Result<sled::Db> {
    let config = sled::Config::new().path(path).segment_size(512 << 10);
    config.flush_every_ms(None).open()
}

fn sled_key(space: Space, name: &[u8]) -> Vec<u8> {
    let space = SPACES
        .iter()
        .position(|one| *one == space)
        .expect("one of them");
    let mut key = vec![u8::try_from(space).expect("one of three")];
    key.extend(name);
    key
}
