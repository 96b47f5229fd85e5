//! Engines against a map: what is put, deleted, committed on conditions, made durable, opened again,
//! lost by a crash and refused by a failure. Shared by the property tests and the fuzz target. It
//! knows the public API only.

use std::collections::BTreeMap;

use courseblocks::ErrorKind;
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Expected, Key, MemoryEngine, SharedEngine,
    SledEngine, SledOptions, Space,
};
use tempfile::TempDir;

use crate::choices::{Bytes, Choices};

/// Operations at most.
const MAX_OPERATIONS: u32 = 60;

/// By space, partition and name.
type Map = BTreeMap<(Space, Vec<u8>, Vec<u8>), Vec<u8>>;

/// The engine that was chosen does what a map does.
pub(crate) fn check(bytes: &[u8]) {
    let choices = &mut Bytes::new(bytes);
    let mut model = Model {
        stage: Stage::choose(choices),
        visible: Map::new(),
        durable: Map::new(),
        calls_until_failure: None,
    };
    for _ in 0..choices.below(MAX_OPERATIONS) {
        model.operate(choices);
    }
    // Whoever comes later sees the same.
    model.calls_until_failure = None;
    model.stage.memory_only(|engine| engine.fail_at(0));
    model.reopen(choices);
    model.scan(None, choices);
}

/// What is tested.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Stage {
    Memory(MemoryEngine),
    Sled(Option<SledEngine>, TempDir),
    /// Two of one store: an owner and a guest, until the owner ends.
    Shared([Option<SharedEngine>; 2], TempDir),
}

struct Model {
    stage: Stage,
    visible: Map,
    /// What a crash leaves.
    durable: Map,
    /// 0: the next call fails.
    calls_until_failure: Option<u32>,
}

const SPACES: [Space; 3] = [Space::Records, Space::Courses, Space::Control];

/// Some begin like others, as courses do.
const PARTITIONS: [&[u8]; 5] = [b"course", b"course-2", b"", b"c", b"\xff\xff"];

const NAMES: [&[u8]; 6] = [b"", b"@blocks", b"name", b"name\0", b"\0", b"\xff"];

impl Model {
    fn operate(&mut self, choices: &mut impl Choices) {
        match choices.below(16) {
            0..=7 => self.commit(choices),
            8 | 9 => self.get(choices),
            10 => {
                let partition = choices.one_of(&PARTITIONS);
                self.scan(Some(partition), choices);
            }
            11 => self.scan(None, choices),
            12 => self.flush(choices),
            13 => self.reopen(choices),
            14 => self.crash(),
            _ => self.fail_later(choices),
        }
    }

    fn commit(&mut self, choices: &mut impl Choices) {
        let partition = choices.one_of(&PARTITIONS);
        let durability = choices.one_of(&[
            Durability::Buffered,
            Durability::Buffered,
            Durability::Durable,
        ]);
        let mut commit = Commit::new();
        for _ in 0..choices.weighted(&[(6, 0), (3, 1), (1, 3)]) {
            let (space, name) = any_place(choices);
            let stored = self.visible.get(&place(space, partition, name));
            let expected = match choices.below(5) {
                0 => Expected::Absent,
                1 => Expected::Present,
                2 => Expected::Equal(any_value(choices)),
                // Mostly as it is.
                _ => stored.map_or(Expected::Absent, |value| Expected::Equal(value.clone())),
            };
            commit.require(space, name, expected);
        }
        for _ in 0..choices.below(5) {
            let (space, name) = any_place(choices);
            if choices.happens(1, 3) {
                commit.delete(space, name);
            } else {
                commit.put(space, name, any_value(choices));
            }
        }
        let expected = self.expected_outcome(partition, &commit);
        let engine = self.stage.engine(choices);
        let outcome = engine.commit(partition, &commit, durability);
        if self.fails() {
            assert_eq!(
                outcome.expect_err("it was to fail").kind(),
                ErrorKind::Storage
            );
            return;
        }
        assert_eq!(outcome.expect("a commit"), expected);
        if expected != CommitOutcome::Applied {
            return;
        }
        for write in commit.writes() {
            let place = place(write.space, partition, &write.name);
            match &write.value {
                Some(value) => self.visible.insert(place, value.clone()),
                None => self.visible.remove(&place),
            };
        }
        if durability == Durability::Durable {
            self.durable = self.visible.clone();
        }
    }

    /// By all that is there before any of it is written.
    fn expected_outcome(&self, partition: &[u8], commit: &Commit) -> CommitOutcome {
        let mut required = commit.preconditions().iter();
        let unmet = required.position(|required| {
            let stored = self
                .visible
                .get(&place(required.space, partition, &required.name));
            match &required.expected {
                Expected::Absent => stored.is_some(),
                Expected::Present => stored.is_none(),
                Expected::Equal(value) => stored != Some(value),
            }
        });
        match unmet {
            Some(precondition) => CommitOutcome::Refused { precondition },
            None => CommitOutcome::Applied,
        }
    }

    fn get(&mut self, choices: &mut impl Choices) {
        let partition = choices.one_of(&PARTITIONS);
        let (space, name) = any_place(choices);
        let engine = self.stage.engine(choices);
        let value = engine.get(Key::new(space, partition, name));
        let value = value.map(|value| value.map(|value| value.to_vec()));
        if self.fails() {
            assert_eq!(
                value.expect_err("it was to fail").kind(),
                ErrorKind::Storage
            );
            return;
        }
        let expected = self.visible.get(&place(space, partition, name));
        assert_eq!(value.expect("a value or none").as_ref(), expected);
    }

    fn scan(&mut self, partition: Option<&[u8]>, choices: &mut impl Choices) {
        for space in SPACES {
            let engine = self.stage.engine(choices);
            let items: Result<Vec<_>, _> = engine.scan(space, partition).collect();
            if self.fails() {
                assert_eq!(
                    items.expect_err("it was to fail").kind(),
                    ErrorKind::Storage
                );
                continue;
            }
            let items = items.expect("items");
            let found = items
                .iter()
                .map(|item| (item.partition(), item.name(), &**item.value()));
            let expected = self.visible.iter().filter(|((of, in_partition, _), _)| {
                *of == space && partition.is_none_or(|wanted| wanted == in_partition)
            });
            let expected =
                expected.map(|((_, partition, name), value)| (&**partition, &**name, &**value));
            assert!(found.eq(expected), "{space:?}, {partition:?}: {items:?}");
        }
    }

    fn flush(&mut self, choices: &mut impl Choices) {
        let flushed = self.stage.engine(choices).flush();
        if self.fails() {
            assert_eq!(
                flushed.expect_err("it was to fail").kind(),
                ErrorKind::Storage
            );
            return;
        }
        flushed.expect("a flush");
        self.durable = self.visible.clone();
    }

    /// The engine is closed, or one of two, and opened again. All that was visible is there.
    fn reopen(&mut self, choices: &mut impl Choices) {
        let options = SledOptions::default();
        match &mut self.stage {
            Stage::Memory(_) => return,
            Stage::Sled(engine, directory) => {
                *engine = None;
                *engine = Some(SledEngine::open(directory.path(), &options).expect("a store"));
            }
            Stage::Shared(engines, directory) => {
                let engine = &mut engines[choices.below(2) as usize];
                *engine = None;
                // The other one may be needed before this one is back.
                if choices.happens(1, 2) {
                    self.scan(None, choices);
                    return self.reopen_all();
                }
                *engine = Some(SharedEngine::open(directory.path(), &options).expect("a store"));
            }
        }
        self.durable = self.visible.clone();
    }

    fn reopen_all(&mut self) {
        if let Stage::Shared(engines, directory) = &mut self.stage {
            for engine in engines.iter_mut().filter(|engine| engine.is_none()) {
                let options = SledOptions::default();
                *engine = Some(SharedEngine::open(directory.path(), &options).expect("a store"));
            }
        }
    }

    fn crash(&mut self) {
        if let Stage::Memory(engine) = &self.stage {
            engine.crash();
            self.visible = self.durable.clone();
        }
    }

    fn fail_later(&mut self, choices: &mut impl Choices) {
        let calls = choices.below(4);
        if let Stage::Memory(engine) = &self.stage {
            engine.fail_at(calls.into());
            self.calls_until_failure = calls.checked_sub(1);
        }
    }

    /// Whether the call that was just made was to fail.
    fn fails(&mut self) -> bool {
        let left = self.calls_until_failure;
        self.calls_until_failure = left.and_then(|left| left.checked_sub(1));
        left == Some(0)
    }
}

impl Stage {
    fn choose(choices: &mut impl Choices) -> Self {
        let options = SledOptions::default();
        let directory = || tempfile::tempdir().expect("a directory");
        // Memory is faster by far.
        match choices.below(16) {
            0 => {
                let directory = directory();
                let engine = SledEngine::open(directory.path(), &options).expect("a store");
                Self::Sled(Some(engine), directory)
            }
            1 => {
                let directory = directory();
                let engines = [0; 2].map(|_| {
                    Some(SharedEngine::open(directory.path(), &options).expect("a store"))
                });
                Self::Shared(engines, directory)
            }
            _ => Self::Memory(MemoryEngine::new()),
        }
    }

    fn engine(&self, choices: &mut impl Choices) -> &dyn Engine {
        match self {
            Self::Memory(engine) => engine,
            Self::Sled(engine, _) => engine.as_ref().expect("it is open"),
            Self::Shared([Some(one), Some(other)], _) => {
                if choices.happens(1, 2) {
                    one
                } else {
                    other
                }
            }
            Self::Shared(engines, _) => engines.iter().flatten().next().expect("one is open"),
        }
    }

    fn memory_only(&self, call: impl Fn(&MemoryEngine)) {
        if let Self::Memory(engine) = self {
            call(engine);
        }
    }
}

fn place(space: Space, partition: &[u8], name: &[u8]) -> (Space, Vec<u8>, Vec<u8>) {
    (space, partition.to_vec(), name.to_vec())
}

fn any_place(choices: &mut impl Choices) -> (Space, &'static [u8]) {
    (choices.one_of(&SPACES), choices.one_of(&NAMES))
}

/// Small, or too large for a page of sled's.
fn any_value(choices: &mut impl Choices) -> Vec<u8> {
    let len = choices.weighted(&[(4, 1), (4, 0), (4, 9), (2, 300), (1, 70_000)]);
    let byte = u8::try_from(choices.below(1 << 8)).expect("a byte");
    vec![byte; len]
}
