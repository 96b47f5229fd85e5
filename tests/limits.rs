//! What is too large is refused at the very edge, by a message that names the limit, and what is as
//! large as it may be is taken. Limits of one type alone are tested beside it: keys in
//! `src/key/error.rs`, blocks and relations in `src/structure`, exports in `src/modulestore/olx`.

#[path = "common/joined.rs"]
mod joined;

use std::sync::Arc;

use courseblocks::engine::{Commit, CommitOutcome, Durability, Engine, MemoryEngine, Space};
use courseblocks::modulestore::SourceVersion;
use courseblocks::record::{Body, ColumnWriter, MAX_BODY_LEN, MAX_ENTRIES, WriteError};
use courseblocks::rollout::{Fleet, MAX_LABEL_BYTES, Registration};
use courseblocks::{
    CourseKey, ErrorKind, Lease, MAX_COURSE_BYTES, MAX_COURSES, MAX_ERROR_BYTES, MAX_NAME_BYTES,
    NewRecord, Publication, Published, ReadVersion, Registry, Result, Scope, Store, Versions,
    WriteVersion,
};
use joined::lease_for;

fn course(run: &str) -> CourseKey {
    format!("course-v1:Org+Course+{run}").parse().unwrap()
}

fn new_store() -> (Arc<MemoryEngine>, Store) {
    let engine = Arc::new(MemoryEngine::new());
    let store = Store::with_engine(engine.clone());
    (engine, store)
}

fn versions() -> Versions {
    Versions::new(ReadVersion::new(1), WriteVersion::new(1).unwrap())
}

/// A body of so many bytes, directory included, without any blocks.
fn body_of(bytes: usize) -> std::result::Result<Body, WriteError> {
    let directory = ColumnWriter::new().finish(&[]).unwrap().len();
    ColumnWriter::new().finish(&vec![7; bytes - directory as usize])
}

fn lease_of(store: &Store, publication: &Publication) -> Lease {
    let records = publication.records.iter();
    let failures = publication.failures.iter();
    let failing = failures.map(|(name, versions, _)| (name.as_str(), *versions));
    let written = records.map(|record| (record.name.as_str(), record.versions));
    lease_for(store, written.chain(failing))
}

fn publish(store: &Store, course: &CourseKey, publication: &Publication) -> Result<Published> {
    let lease = lease_of(store, publication);
    let (base, _) = store.base(&lease, course)?;
    store.publish(&lease, &base, publication, Durability::Buffered)
}

fn publication(records: Vec<NewRecord>) -> Publication {
    Publication {
        scope: Scope::Whole,
        source_version: SourceVersion::new("v1").unwrap(),
        origin: None,
        blocks: 0,
        errors: 0,
        warnings: 0,
        records,
        failures: Vec::new(),
    }
}

fn record(name: &str, body: Body) -> NewRecord {
    NewRecord {
        name: name.to_owned(),
        versions: versions(),
        body,
    }
}

#[track_caller]
fn check<T>(refused: Result<T>, limit: impl ToString + Copy) {
    let error = refused.err().expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{error}");
    let source = std::error::Error::source(&error).map(ToString::to_string);
    let message = format!("{error}: {}", source.unwrap_or_default());
    assert!(message.contains(&limit.to_string()), "{message}");
}

#[test]
fn a_record_is_as_long_as_the_limit() {
    let longest = body_of(MAX_BODY_LEN).unwrap();
    assert_eq!(longest.len() as usize, MAX_BODY_LEN);
    let too_long = body_of(MAX_BODY_LEN + 1).map_err(Into::into);
    check::<Body>(too_long, MAX_BODY_LEN);

    // Entries, too, one of which is too much.
    let mut column = ColumnWriter::new();
    column.push(&vec![7; MAX_BODY_LEN / 2]).unwrap();
    let too_long = column.push(&vec![7; MAX_BODY_LEN / 2 + 1]);
    check(too_long.map_err(Into::into), MAX_BODY_LEN);
}

#[test]
fn a_record_has_as_many_entries_as_the_limit() {
    let mut column = ColumnWriter::new();
    for _ in 0..MAX_ENTRIES {
        column.push_absent().unwrap();
    }
    check(column.push_absent().map_err(Into::into), MAX_ENTRIES);
    assert_eq!(column.finish(&[]).unwrap().entries(), MAX_ENTRIES);
}

/// The very edge is tested beside the code: it would take 256 MiB here.
#[test]
fn a_course_beyond_the_limit_is_refused_before_all_of_it_is_in_memory() {
    let (engine, store) = new_store();
    let course = course("R");
    let one = body_of(MAX_BODY_LEN).unwrap();
    let records = (0..4).map(|number| record(&format!("t{number}"), one.clone()));
    let too_large = publication(records.collect());
    check(publish(&store, &course, &too_large), MAX_COURSE_BYTES);
    assert_eq!(engine.scan(Space::Records, None).count(), 0);
    assert!(store.course(&course).unwrap().is_none());
}

#[test]
fn a_store_has_as_many_courses_as_the_limit() {
    let (engine, store) = new_store();
    // Rows are counted, not read.
    let mut commit = Commit::new();
    commit.put(Space::Courses, b"", b"?".to_vec());
    for number in 0..MAX_COURSES - 2 {
        let key = format!("course-v1:Org+Course+{number}");
        let outcome = engine.commit(key.as_bytes(), &commit, Durability::Buffered);
        assert_eq!(outcome.unwrap(), CommitOutcome::Applied);
    }
    let none = || publication(Vec::new());
    let (last, one_more) = (course("last"), course("one_more"));
    publish(&store, &course("before"), &none()).unwrap();
    publish(&store, &last, &none()).unwrap();
    check(publish(&store, &one_more, &none()), MAX_COURSES);
    assert_eq!(
        engine.scan(Space::Courses, None).count() as u64,
        MAX_COURSES
    );

    // What is there is published again, and a course that goes makes room for another one.
    publish(&store, &last, &none()).unwrap();
    let lease = lease_of(&store, &none());
    assert!(store.delete(&lease, &last).unwrap());
    publish(&store, &one_more, &none()).unwrap();
}

#[test]
fn names_are_as_long_as_the_limit() {
    let named = |name: &str| {
        let (_, store) = new_store();
        publish(
            &store,
            &course("R"),
            &publication(vec![record(name, body_of(100).unwrap())]),
        )
    };
    assert!(named(&"x".repeat(MAX_NAME_BYTES)).is_ok());
    check(named(&"x".repeat(MAX_NAME_BYTES + 1)), MAX_NAME_BYTES);

    let version = |bytes: usize| SourceVersion::new("v".repeat(bytes));
    assert!(version(SourceVersion::MAX_BYTES).is_ok());
    check(
        version(SourceVersion::MAX_BYTES + 1),
        SourceVersion::MAX_BYTES,
    );

    let join = |worker: usize, release: usize| {
        let (_, store) = new_store();
        let registration =
            Registration::new("w".repeat(worker), "r".repeat(release), &Registry::new());
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        Fleet::new(&store).join(&registration, now).map(|_| ())
    };
    join(MAX_LABEL_BYTES, MAX_LABEL_BYTES).unwrap();
    for (worker, release) in [(MAX_LABEL_BYTES + 1, 1), (1, MAX_LABEL_BYTES + 1)] {
        let error = join(worker, release).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Registry);
        let limit = format!("longer than {MAX_LABEL_BYTES} bytes");
        assert!(error.to_string().contains(&limit), "{error}");
    }
}

/// A transformer may quote all of a course in its error, and rows of the header index are read by the
/// thousand.
#[test]
fn what_is_kept_of_an_error_is_short() {
    let (_, store) = new_store();
    let mut failing = publication(Vec::new());
    let error = "x".repeat(MAX_ERROR_BYTES * 1_000);
    failing.failures = vec![("t".to_owned(), versions(), error)];
    publish(&store, &course("R"), &failing).unwrap();
    let entry = store.course(&course("R")).unwrap().unwrap();
    assert_eq!(entry.failures()[0].error.len(), MAX_ERROR_BYTES);
}
