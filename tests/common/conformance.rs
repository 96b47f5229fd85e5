//! What every engine does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use courseblocks::ErrorKind;
use courseblocks::engine::{
    Commit, CommitOutcome, Durability, Engine, Expected, Item, Key, Space, Value,
};

/// Tests of all that every engine does, in a module of the name of the engine. `$on_engine` calls
/// what it is given with an empty one.
macro_rules! conformance {
    ($engine:ident, $on_engine:ident) => {
        conformance! { $engine, $on_engine:
            what_was_put_is_got_until_it_is_deleted,
            a_value_can_be_empty_or_large_and_have_an_empty_name,
            spaces_partitions_and_names_do_not_meet,
            a_commit_is_refused_unless_every_precondition_is_met,
            preconditions_see_what_was_there_before_the_commit,
            of_several_writes_to_one_name_the_last_one_counts,
            an_empty_commit_is_applied,
            a_commit_is_seen_in_all_spaces_or_in_none,
            a_scan_is_in_the_order_of_partitions_and_names,
            a_scan_of_a_partition_yields_nothing_else,
            a_value_stays_as_it_is_while_it_is_held,
            concurrent_commits_with_preconditions_lose_no_update,
            a_partition_with_a_zero_byte_is_refused,
        }
    };
    ($engine:ident, $on_engine:ident: $($behaviour:ident,)*) => {
        mod $engine {
            $(#[test] fn $behaviour() {
                super::$on_engine(crate::conformance::$behaviour);
            })*
        }
    };
}

pub(crate) const SPACES: [Space; 3] = [Space::Records, Space::Courses, Space::Control];

const REFUSED: CommitOutcome = CommitOutcome::Refused { precondition: 0 };

pub(crate) fn put(engine: &dyn Engine, space: Space, partition: &str, name: &[u8], value: &[u8]) {
    let mut commit = Commit::new();
    commit.put(space, name, value);
    apply(engine, partition, &commit);
}

#[track_caller]
pub(crate) fn apply(engine: &dyn Engine, partition: &str, commit: &Commit) {
    let outcome = engine.commit(partition.as_bytes(), commit, Durability::Buffered);
    assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
}

pub(crate) fn get(
    engine: &dyn Engine,
    space: Space,
    partition: &str,
    name: &[u8],
) -> Option<Vec<u8>> {
    let value = engine
        .get(Key::new(space, partition.as_bytes(), name))
        .unwrap();
    value.map(|value| value.to_vec())
}

pub(crate) fn scan(
    engine: &dyn Engine,
    space: Space,
    partition: Option<&str>,
) -> Vec<(String, Vec<u8>)> {
    let items = engine.scan(space, partition.map(str::as_bytes));
    let pair = |item: courseblocks::Result<Item>| {
        let item = item.unwrap();
        let partition = String::from_utf8(item.partition().to_vec()).unwrap();
        (partition, item.name().to_vec())
    };
    items.map(pair).collect()
}

pub(crate) fn what_was_put_is_got_until_it_is_deleted(engine: &dyn Engine) {
    for space in SPACES {
        assert_eq!(get(engine, space, "course", b"name"), None);
        put(engine, space, "course", b"name", b"one");
        assert_eq!(get(engine, space, "course", b"name").unwrap(), b"one");
        put(engine, space, "course", b"name", b"two");
        assert_eq!(get(engine, space, "course", b"name").unwrap(), b"two");
        let mut commit = Commit::new();
        commit.delete(space, "name");
        apply(engine, "course", &commit);
        apply(engine, "course", &commit);
        assert_eq!(get(engine, space, "course", b"name"), None);
    }
}

pub(crate) fn a_value_can_be_empty_or_large_and_have_an_empty_name(engine: &dyn Engine) {
    let large: Vec<u8> = (0..5_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(5_000_000)
        .collect();
    for value in [&b""[..], b"x", &large, b"smaller again"] {
        for (partition, name) in [("course", &b""[..]), ("", b""), ("", b"name")] {
            put(engine, Space::Records, partition, name, value);
            assert!(get(engine, Space::Records, partition, name).unwrap() == value);
        }
        assert_eq!(scan(engine, Space::Records, None).len(), 3);
        assert_eq!(scan(engine, Space::Records, Some("")).len(), 2);
    }
}

pub(crate) fn spaces_partitions_and_names_do_not_meet(engine: &dyn Engine) {
    let keys = [("a", "b"), ("ab", ""), ("", "ab"), ("a", ""), ("", "a\0b")];
    for space in SPACES {
        for (partition, name) in keys {
            let value = format!("{space:?} {partition} {name}");
            put(engine, space, partition, name.as_bytes(), value.as_bytes());
        }
    }
    for space in SPACES {
        for (partition, name) in keys {
            let value = format!("{space:?} {partition} {name}");
            let found = get(engine, space, partition, name.as_bytes());
            assert_eq!(found, Some(value.into_bytes()));
        }
        assert_eq!(scan(engine, space, None).len(), keys.len());
    }
}

pub(crate) fn a_commit_is_refused_unless_every_precondition_is_met(engine: &dyn Engine) {
    #[track_caller]
    fn check(engine: &dyn Engine, name: &str, expected: Expected, is_met: bool) {
        let mut commit = Commit::new();
        commit.require(Space::Control, "there", Expected::Present);
        commit.require(Space::Courses, name, expected);
        commit.put(Space::Control, "written", "yes");
        let outcome = engine
            .commit(b"course", &commit, Durability::Durable)
            .unwrap();
        let written = get(engine, Space::Control, "course", b"written").is_some();
        let precondition = 1;
        let expected_outcome = if is_met {
            CommitOutcome::Applied
        } else {
            CommitOutcome::Refused { precondition }
        };
        assert_eq!((outcome, written), (expected_outcome, is_met));
        let mut undo = Commit::new();
        undo.delete(Space::Control, "written");
        apply(engine, "course", &undo);
    }

    put(engine, Space::Control, "course", b"there", b"");
    put(engine, Space::Courses, "course", b"there", b"value");
    put(engine, Space::Courses, "course", b"empty", b"");
    put(engine, Space::Courses, "another", b"elsewhere", b"value");
    check(engine, "there", Expected::Present, true);
    check(engine, "there", Expected::Absent, false);
    check(engine, "there", Expected::Equal(b"value".into()), true);
    check(engine, "there", Expected::Equal(b"valu".into()), false);
    check(engine, "there", Expected::Equal(b"value\0".into()), false);
    check(engine, "empty", Expected::Present, true);
    check(engine, "empty", Expected::Absent, false);
    check(engine, "empty", Expected::Equal(b"".into()), true);
    for nowhere in ["elsewhere", "nowhere", ""] {
        check(engine, nowhere, Expected::Present, false);
        check(engine, nowhere, Expected::Absent, true);
        check(engine, nowhere, Expected::Equal(b"".into()), false);
    }
}

pub(crate) fn preconditions_see_what_was_there_before_the_commit(engine: &dyn Engine) {
    let mut commit = Commit::new();
    commit.put(Space::Control, "name", "value");
    commit.require(Space::Control, "name", Expected::Absent);
    apply(engine, "course", &commit);
    let outcome = engine.commit(b"course", &commit, Durability::Buffered);
    assert_eq!(outcome.unwrap(), REFUSED);
}

pub(crate) fn of_several_writes_to_one_name_the_last_one_counts(engine: &dyn Engine) {
    let mut commit = Commit::new();
    commit.put(Space::Control, "put", "1");
    commit.delete(Space::Control, "put");
    commit.put(Space::Control, "put", "2");
    commit.put(Space::Control, "deleted", "1");
    commit.delete(Space::Control, "deleted");
    apply(engine, "course", &commit);
    assert_eq!(get(engine, Space::Control, "course", b"put").unwrap(), b"2");
    assert_eq!(get(engine, Space::Control, "course", b"deleted"), None);
}

pub(crate) fn an_empty_commit_is_applied(engine: &dyn Engine) {
    for durability in [Durability::Buffered, Durability::Durable] {
        let outcome = engine.commit(b"course", &Commit::new(), durability);
        assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
    }
    engine.flush().unwrap();
    assert!(!engine.describe().is_empty());
    engine.disk_bytes().unwrap();
    assert_eq!(engine.place().unwrap(), engine.place().unwrap());
}

/// Each commit writes its number to the three spaces, last where a reader looks first.
pub(crate) fn a_commit_is_seen_in_all_spaces_or_in_none(engine: &dyn Engine) {
    let number = |space| {
        let value = engine.get(Key::new(space, b"course", b"number")).unwrap();
        value.map_or(0, |value| u32::from_le_bytes(value[..].try_into().unwrap()))
    };
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1_u32..=500 {
                let mut commit = Commit::new();
                for space in SPACES {
                    commit.put(space, "number", number.to_le_bytes());
                }
                apply(engine, "course", &commit);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        while !is_done.load(Ordering::SeqCst) {
            let seen = SPACES.map(number);
            assert!(seen.is_sorted(), "half a commit: {seen:?}");
            let reversed = [2, 1, 0].map(|space| number(SPACES[space]));
            assert!(reversed.is_sorted(), "half a commit: {reversed:?}");
        }
    });
    assert_eq!(SPACES.map(number), [500; 3]);
}

pub(crate) fn a_scan_is_in_the_order_of_partitions_and_names(engine: &dyn Engine) {
    let names: [&[u8]; 6] = [b"", b"\0", b"\0\xff", b"a", b"\xfe", b"\xff\xff"];
    let partitions = ["", "\u{1}", "a", "a\u{1}", "ab", "b", "\u{10ffff}"];
    for name in names.iter().rev() {
        for partition in partitions {
            put(engine, Space::Records, partition, name, b"");
        }
    }
    let scanned = scan(engine, Space::Records, None);
    let expected = partitions.iter().flat_map(|partition| {
        names
            .iter()
            .map(|name| (partition.to_string(), name.to_vec()))
    });
    assert_eq!(scanned, expected.collect::<Vec<_>>());
}

pub(crate) fn a_scan_of_a_partition_yields_nothing_else(engine: &dyn Engine) {
    let partitions = ["", "a", "aa", "ab", "a\u{1}", "b"];
    for partition in partitions {
        for name in [&b"\xff"[..], b"", b"a"] {
            put(
                engine,
                Space::Courses,
                partition,
                name,
                partition.as_bytes(),
            );
            put(engine, Space::Control, partition, name, b"another space");
        }
    }
    for partition in partitions {
        for item in engine.scan(Space::Courses, Some(partition.as_bytes())) {
            assert_eq!(&item.unwrap().into_value()[..], partition.as_bytes());
        }
        let names = [&b""[..], b"a", b"\xff"].map(|name| (partition.to_owned(), name.to_vec()));
        assert_eq!(scan(engine, Space::Courses, Some(partition)), names);
    }
    assert_eq!(scan(engine, Space::Courses, Some("c")), []);
    assert_eq!(scan(engine, Space::Records, Some("a")), []);
}

pub(crate) fn a_value_stays_as_it_is_while_it_is_held(engine: &dyn Engine) {
    let key = Key::new(Space::Records, b"course", b"name");
    for size in [1, 30, 10_000, 1_000_000] {
        put(engine, Space::Records, "course", b"name", &vec![1; size]);
        let held = engine.get(key).unwrap().unwrap();
        let scanned = engine.scan(Space::Records, None).next().unwrap().unwrap();
        for other in 2..20 {
            put(
                engine,
                Space::Records,
                "course",
                b"name",
                &vec![other; size],
            );
        }
        let mut commit = Commit::new();
        commit.delete(Space::Records, "name");
        apply(engine, "course", &commit);
        engine.flush().unwrap();
        for value in [&held, &held.clone(), scanned.value()] {
            assert!(value[..] == vec![1; size], "{size} bytes");
        }
    }
}

pub(crate) fn concurrent_commits_with_preconditions_lose_no_update(engine: &dyn Engine) {
    let count = |value: &Value| u32::from_le_bytes(value[..].try_into().unwrap());
    let key = Key::new(Space::Control, b"course", b"count");
    let add_one = || loop {
        let value = engine.get(key).unwrap();
        let next = value.as_ref().map_or(0, count) + 1;
        let expected = value.map_or(Expected::Absent, |value| Expected::Equal(value.to_vec()));
        let mut commit = Commit::new();
        commit.require(Space::Control, "count", expected);
        commit.put(Space::Control, "count", next.to_le_bytes());
        match engine
            .commit(b"course", &commit, Durability::Durable)
            .unwrap()
        {
            CommitOutcome::Applied => break,
            CommitOutcome::Refused { precondition } => assert_eq!(precondition, 0),
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| add_one()));
        }
    });
    assert_eq!(engine.get(key).unwrap().as_ref().map(count), Some(200));
}

pub(crate) fn a_partition_with_a_zero_byte_is_refused(engine: &dyn Engine) {
    let partition = b"cou\0rse";
    let mut commit = Commit::new();
    let errors = [
        engine
            .get(Key::new(Space::Control, partition, b""))
            .map(|_| ()),
        engine
            .scan(Space::Control, Some(partition))
            .next()
            .unwrap()
            .map(|_| ()),
        engine
            .commit(partition, &commit, Durability::Buffered)
            .map(|_| ()),
        Item::new(partition, b"", vec![]).map(|_| ()),
        {
            commit.put(Space::Control, "", "");
            engine
                .commit(partition, &commit, Durability::Buffered)
                .map(|_| ())
        },
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidKey);
    }
}
