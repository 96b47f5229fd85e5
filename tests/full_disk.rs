//! Disks that are full, that cannot be written, or that are gone, and processes that may open no
//! more files: what was acknowledged can be read all the while, and writing goes on afterwards.
//!
//! `COURSEBLOCKS_FULL_DISK_ROUNDS` says how often, over disks of many sizes.

#![cfg(unix)]

#[path = "common/small_disk.rs"]
mod small_disk;

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Key, SledEngine, SledOptions, Space,
};
use courseblocks::{Error, ErrorKind};
use small_disk::{SmallDisk, where_disks_are_small};

const MIB: u64 = 1 << 20;

fn rounds(few: u64) -> u64 {
    let rounds = env::var("COURSEBLOCKS_FULL_DISK_ROUNDS").ok();
    rounds.map_or(few, |rounds| rounds.parse().expect("a number of rounds"))
}

fn open(path: &Path) -> SledEngine {
    SledEngine::open(path, &SledOptions::default()).unwrap()
}

/// What was acknowledged: of each key the byte that its value is made of, and how often.
#[derive(Default)]
struct Acknowledged(BTreeMap<(u8, u8), (u8, usize)>);

/// What is random here depends on the round alone.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// What a commit is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Records,
    Little,
    Deletion,
}

impl Acknowledged {
    fn commit(
        &mut self,
        engine: &dyn Engine,
        kind: Kind,
        chance: &mut Chance,
    ) -> Result<(), Error> {
        let partition = u8::try_from(chance.below(24)).unwrap();
        let scale = 1 << (6 + chance.below(12));
        let mut commit = Commit::new();
        let mut changed = Vec::new();
        for name in 0..11 {
            if kind == Kind::Little && name > 1 {
                break;
            }
            let byte = u8::try_from(chance.below(256)).unwrap();
            let len = match kind {
                Kind::Records => usize::try_from(chance.below(scale)).unwrap(),
                Kind::Little => 200,
                Kind::Deletion => 0,
            };
            changed.push((
                (partition, name),
                (kind != Kind::Deletion).then_some((byte, len)),
            ));
            match kind {
                Kind::Deletion => commit.delete(Space::Records, [name]),
                _ => commit.put(Space::Records, [name], vec![byte; len]),
            }
        }
        let durability = match chance.below(2) {
            0 => Durability::Buffered,
            _ => Durability::Durable,
        };
        let outcome = engine.commit(&[partition + 1], &commit, durability)?;
        assert_eq!(outcome, CommitOutcome::Applied);
        for (key, value) in changed {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
        Ok(())
    }

    #[track_caller]
    fn check(&self, engine: &dyn Engine) {
        for partition in 0..24 {
            for name in 0..11 {
                let partition_name = [partition + 1];
                let key = Key::new(Space::Records, &partition_name, std::slice::from_ref(&name));
                let found = engine.get(key).unwrap();
                let found = found.map(|value| (value.first().copied(), value.len()));
                let expected = self.0.get(&(partition, name));
                let expected = expected.map(|(byte, len)| ((*len > 0).then_some(*byte), *len));
                assert_eq!(found, expected, "{partition} {name}");
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_commits_and_nothing_else() {
    where_disks_are_small("a_full_disk_refuses_commits_and_nothing_else", || {
        let mut commits = 0;
        let (mut refused, mut reopened) = (0, 0);
        for round in 0..rounds(4) {
            let mut chance = Chance((round + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let kib = (18 << 10) + chance.below(40 << 10);
            let disk = SmallDisk::new(kib);
            let mut acknowledged = Acknowledged::default();
            let mut engine = open(&disk.store());
            for turn in 0..6 {
                let is_full = chance.below(3) > 0;
                let mut left = 20;
                while left > 0 {
                    let kind = match chance.below(10) {
                        0 => Kind::Deletion,
                        1 | 2 => Kind::Little,
                        _ => Kind::Records,
                    };
                    match acknowledged.commit(&engine, kind, &mut chance) {
                        Ok(()) => commits += 1,
                        Err(error) => {
                            assert_eq!(
                                error.kind(),
                                ErrorKind::NoRoom,
                                "round {round} turn {turn}, {kib} KiB: {error}: {:?}",
                                std::error::Error::source(&error)
                            );
                            refused += 1;
                            left -= 1;
                        }
                    }
                    if chance.below(200) == 0 {
                        acknowledged.check(&engine);
                    }
                }
                acknowledged.check(&engine);
                if is_full {
                    disk.fill_up_to(chance.below(2) * chance.below(MIB));
                }
                acknowledged.check(&engine);
                // What is buffered may have to wait for room.
                match engine.flush() {
                    Ok(()) if chance.below(2) == 0 => {
                        drop(engine);
                        engine = open(&disk.store());
                        acknowledged.check(&engine);
                        reopened += 1;
                    }
                    Ok(()) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NoRoom, "{error}"),
                }
                if is_full {
                    disk.free();
                }
                disk.resize(kib + (turn + 1) * 1024 * 4);
            }
        }
        eprintln!("{commits} commits, {refused} refused, {reopened} times reopened");
    });
}
