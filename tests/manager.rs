//! What a host may rely on when it reads through a manager: that what is there is served, that
//! what is missing is collected once, and that nobody pays for another's failure.

#[path = "common/courses.rs"]
mod courses;
#[path = "common/engines.rs"]
mod engines;
#[path = "common/joined.rs"]
mod joined;
#[path = "common/meddling.rs"]
mod meddling;
#[path = "common/probe.rs"]
mod probe;
#[path = "common/recorder.rs"]
mod recorder;
#[path = "common/tamper.rs"]
mod tamper;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use courseblocks::engine::{Engine, MemoryEngine, Space};
use courseblocks::modulestore::{Course, ModuleStore, SourceVersion};
use courseblocks::{
    BLOCKS, CollectedCourse, CourseKey, Error, ErrorKind, Failure, Force, Manager, Plan, Reason,
    STRUCTURE, Store, Timestamp, Transformer, UpdateOptions, UsageKey, UserContext, Versions,
};
use courses::{Courses, course_key};
use joined::{join, joined, lease_for};
use meddling::Meddling;
use recorder::{Recorder, Stamp, registry, versions, versions_with};

/// A release of these transformers.
fn release(store: &Arc<Store>, courses: &Arc<Courses>, transformers: &[&Recorder]) -> Manager {
    let manager = Manager::new(Arc::clone(store), registry(transformers), courses.clone());
    join(&manager).unwrap();
    manager
}

fn store_on<E: Engine>(engine: &Arc<E>) -> Arc<Store> {
    Arc::new(Store::with_engine(engine.clone()))
}

/// One release of `t` and `u` on an engine in memory.
struct House {
    engine: Arc<MemoryEngine>,
    store: Arc<Store>,
    courses: Arc<Courses>,
    t: Recorder,
    u: Recorder,
    manager: Manager,
}

impl House {
    /// A manager that has not joined.
    fn another(&self, transformers: &[&Recorder]) -> Manager {
        let courses = self.courses.clone();
        Manager::new(self.store.clone(), registry(transformers), courses)
    }

    /// Does something that would not be accepted while this release is in the fleet.
    fn while_away<R>(&self, act: impl FnOnce() -> R) -> R {
        self.manager.leave().unwrap();
        let done = act();
        join(&self.manager).unwrap();
        done
    }

    fn new() -> Self {
        let engine = Arc::new(MemoryEngine::new());
        let store = store_on(&engine);
        let courses = Courses::with_one();
        let (t, u) = (Recorder::new("t", 1, 1), Recorder::new("u", 1, 1));
        let manager = release(&store, &courses, &[&t, &u]);
        Self {
            engine,
            store,
            courses,
            t,
            u,
            manager,
        }
    }

    /// With everything collected.
    fn collected() -> Self {
        let house = Self::new();
        house.update();
        house
    }

    #[track_caller]
    fn update(&self) -> courseblocks::Updated {
        update(&self.manager)
    }

    /// How often: the course was loaded, t collected, u collected.
    fn work(&self) -> (usize, usize, usize) {
        (
            self.courses.loads.calls(),
            self.t.collects.calls(),
            self.u.collects.calls(),
        )
    }

    fn failures(&self) -> Vec<Failure> {
        let entry = self.store.course(&course_key()).unwrap();
        entry.map_or(Vec::new(), |entry| entry.failures().to_vec())
    }
}

#[track_caller]
fn update(manager: &Manager) -> courseblocks::Updated {
    manager
        .update(&course_key(), &UpdateOptions::default())
        .unwrap()
}

/// Panics unless structure and records are all of one content; answers which, and the WRITE
/// versions of the records.
#[track_caller]
fn content(collected: &CollectedCourse, names: &[&str]) -> (String, Vec<u32>) {
    let structure = collected.structure();
    let mut sources = BTreeSet::new();
    for block in structure
        .blocks()
        .filter(|block| *block != structure.root())
    {
        let (source, _) = structure.key(block).block_id().split_once('-').unwrap();
        sources.insert(source.to_owned());
    }
    let mut written_with = Vec::new();
    for name in names {
        let column = collected.record(name).unwrap().column();
        assert_eq!(column.len(), structure.width());
        let mut versions = BTreeSet::new();
        for (entry, key) in column.entries().zip(structure.keys().as_slice()) {
            let stamp: Stamp = entry.unwrap().unwrap().decode().unwrap();
            assert_eq!(stamp.block, key.to_string());
            sources.insert(stamp.source);
            versions.insert(stamp.written_with);
        }
        sources.insert(column.course_wide().unwrap().decode().unwrap());
        assert_eq!(versions.len(), 1);
        written_with.extend(versions);
    }
    assert_eq!(sources.len(), 1, "{sources:?}");
    (sources.into_iter().next().unwrap(), written_with)
}

#[track_caller]
fn read(manager: &Manager, names: &[&str]) -> (String, Vec<u32>) {
    content(&manager.get_collected(&course_key(), names).unwrap(), names)
}

#[track_caller]
fn refused(manager: &Manager, names: &[&str]) -> Error {
    manager.get_collected(&course_key(), names).unwrap_err()
}

fn told(source: &str, written_with: &[u32]) -> (String, Vec<u32>) {
    (source.to_owned(), written_with.to_vec())
}

// What is there is served.

#[test]
fn what_is_stored_and_readable_is_served_without_asking_the_source() {
    let house = House::new();
    assert_eq!(read(&house.manager, &["t", "u"]), told("v1", &[1, 1]));
    assert_eq!(house.work(), (1, 1, 1));
    // Neither older content nor a WRITE version that is due keeps it from being served.
    house.courses.publish("v2");
    let next = house.t.with_versions(versions(1, 2));
    let next = release(&house.store, &house.courses, &[&next, &house.u]);
    for manager in [&house.manager, &next] {
        assert_eq!(read(manager, &["t", "u"]), told("v1", &[1, 1]));
        assert_eq!(read(manager, &[]), told("v1", &[]));
    }
    house.courses.take_away();
    assert_eq!(read(&next, &["u", "t"]), told("v1", &[1, 1]));
    assert_eq!(house.work(), (1, 1, 1));
}

#[test]
fn an_update_of_what_is_up_to_date_collects_nothing() {
    let house = House::collected();
    let before = tamper::everything(&*house.engine);
    let updated = house.update();
    assert_eq!(updated.plan, Plan::Nothing);
    assert!(updated.published.is_none() && updated.report.is_none());
    assert_eq!(house.work(), (1, 1, 1));
    assert_eq!(tamper::everything(&*house.engine), before);
}

#[test]
fn a_changed_source_is_collected_whole() {
    let house = House::collected();
    house.courses.publish("v2");
    let plan = house
        .manager
        .plan(&course_key(), &UpdateOptions::default())
        .unwrap();
    assert_eq!(plan, Plan::Whole(Reason::SourceChanged));
    assert_eq!(house.update().plan, plan);
    assert_eq!(house.work(), (2, 2, 2));
    assert_eq!(read(&house.manager, &["t", "u"]), told("v2", &[1, 1]));
    // Even when only one transformer was asked for: the others would be of other content.
    house.courses.publish("v3");
    let options = UpdateOptions {
        transformers: vec!["t".into()],
        ..UpdateOptions::default()
    };
    house.manager.update(&course_key(), &options).unwrap();
    assert_eq!(read(&house.manager, &["u", "t"]), told("v3", &[1, 1]));
}

#[test]
fn only_what_is_outdated_is_collected_again_while_the_source_is_unchanged() {
    let house = House::collected();
    let generation = house
        .store
        .course(&course_key())
        .unwrap()
        .unwrap()
        .generation();
    // WRITE raised: an update is due, a read is not.
    let next = house.t.with_versions(versions(1, 2));
    let manager = release(&house.store, &house.courses, &[&next, &house.u]);
    let updated = update(&manager);
    assert_eq!(updated.plan, Plan::Part(vec!["t".into()]));
    assert_eq!(updated.published.unwrap().generation, generation);
    assert_eq!(house.work(), (2, 2, 1));
    assert_eq!(read(&manager, &["t", "u"]), told("v1", &[2, 1]));
    // READ raised: a read collects it, whatever else was asked for.
    let next = house.u.with_versions(versions(3, 3));
    let manager = release(
        &house.store,
        &house.courses,
        &[&house.t.with_versions(versions(2, 2)), &next],
    );
    assert_eq!(read(&manager, &["t"]), told("v1", &[2]));
    assert_eq!(house.work(), (2, 2, 1));
    assert_eq!(read(&manager, &["t", "u"]), told("v1", &[2, 3]));
    assert_eq!(house.work(), (3, 2, 2));
    assert_eq!(update(&manager).plan, Plan::Nothing);
}

#[test]
fn a_read_collects_everything_that_is_due_while_it_is_at_it() {
    let house = House::collected();
    let t = house.t.with_versions(versions(2, 2));
    let u = house.u.with_versions(versions(1, 2));
    let manager = release(&house.store, &house.courses, &[&t, &u]);
    assert_eq!(read(&manager, &["t"]), told("v1", &[2]));
    assert_eq!(house.work(), (2, 2, 2));
}

#[test]
fn force_and_a_choice_of_transformers_say_what_is_collected() {
    let house = House::collected();
    let options = |force, transformers: &[&str]| UpdateOptions {
        force,
        transformers: transformers.iter().map(|name| (*name).to_owned()).collect(),
    };
    let check = |options: &UpdateOptions, plan, work| {
        assert_eq!(
            house.manager.update(&course_key(), options).unwrap().plan,
            plan
        );
        assert_eq!(house.work(), work);
    };
    check(
        &options(Force::Everything, &["u"]),
        Plan::Part(vec!["u".into()]),
        (2, 1, 2),
    );
    check(
        &options(Force::Everything, &[]),
        Plan::Whole(Reason::Forced),
        (3, 2, 3),
    );
    check(
        &options(Force::OutdatedOnly, &["u"]),
        Plan::Nothing,
        (3, 2, 3),
    );
    let unknown = options(Force::OutdatedOnly, &["v"]);
    let error = house.manager.update(&course_key(), &unknown).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Registry);
    // One that is due but not asked for stays as it is.
    let next = house.t.with_versions(versions(1, 2));
    let manager = release(&house.store, &house.courses, &[&next, &house.u]);
    let updated = manager
        .update(&course_key(), &options(Force::OutdatedOnly, &["u"]))
        .unwrap();
    assert_eq!(updated.plan, Plan::Nothing);
}

#[test]
fn a_name_that_is_not_registered_is_refused_before_anything_is_done() {
    let house = House::new();
    // The store's own records are nobody's transformers.
    for name in ["v", "", STRUCTURE, BLOCKS] {
        let error = refused(&house.manager, &["t", name]);
        assert_eq!(error.kind(), ErrorKind::Registry, "{name}");
        let unregistered = Recorder::new(name, 1, 1);
        let root = course_key().usage_key("course", "course").unwrap();
        let error = house
            .manager
            .get_block(&course_key(), &unregistered, &root)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Registry, "{name}");
    }
    assert_eq!(house.work(), (0, 0, 0));
    assert!(tamper::everything(&*house.engine).is_empty());
}

#[test]
fn a_course_that_is_nowhere_is_not_found_and_leaves_no_trace() {
    let house = House::new();
    house.courses.take_away();
    assert_eq!(refused(&house.manager, &["t"]).kind(), ErrorKind::NotFound);
    let error = house
        .manager
        .update(&course_key(), &UpdateOptions::default())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(tamper::everything(&*house.engine).is_empty());
}

/// Entries do not repeat the course's key, so one course would have passed for the other.
#[test]
fn a_course_that_was_not_asked_for_is_refused() {
    struct Confused(Arc<Courses>);
    impl ModuleStore for Confused {
        fn source_version(&self, _: &CourseKey) -> courseblocks::Result<SourceVersion> {
            self.0.source_version(&course_key())
        }
        fn load(&self, _: &CourseKey) -> courseblocks::Result<Course> {
            self.0.load(&course_key())
        }
    }
    let house = House::new();
    let courses = Arc::new(Confused(house.courses.clone()));
    let manager = joined(Manager::new(
        house.store.clone(),
        registry(&[&house.t]),
        courses,
    ));
    let other = "course-v1:Org+Course+run".parse().unwrap();
    let error = manager.get_collected(&other, &["t"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCourse, "{error}");
    assert!(tamper::everything(&*house.engine).is_empty());
}

#[test]
fn a_transformer_that_is_being_introduced_may_do_without_data() {
    let house = House::collected();
    let new = Recorder::new("new", 0, 1);
    let manager = release(&house.store, &house.courses, &[&house.t, &new]);
    let collected = manager.get_collected(&course_key(), &["new", "t"]).unwrap();
    assert!(collected.record("new").is_none());
    content(&collected, &["t"]);
    let user = UserContext::new(Timestamp::MIN);
    assert!(
        !collected
            .transform(&user, None)
            .unwrap()
            .structure
            .is_empty()
    );
    let root = collected.structure().key(collected.structure().root());
    assert_eq!(manager.get_block(&course_key(), &new, root).unwrap(), None);
    assert_eq!((house.work(), new.collects.calls()), ((1, 1, 1), 0));
    // An update brings it, and a transformer that cannot do without is collected at once.
    assert_eq!(update(&manager).plan, Plan::Part(vec!["new".into()]));
    assert_eq!(read(&manager, &["new"]), told("v1", &[1]));
    let newer = Recorder::new("newer", 1, 1);
    let manager = release(&house.store, &house.courses, &[&newer]);
    assert_eq!(read(&manager, &["newer"]), told("v1", &[1]));
    // The records of the others are still there.
    assert_eq!(read(&house.manager, &["t", "u"]), told("v1", &[1, 1]));
    assert_eq!(house.work(), (3, 1, 1));
}

// Old and new code side by side.

#[test]
fn an_older_release_reads_newer_data_and_never_collects_over_it() {
    let house = House::collected();
    let next = house.t.with_versions(versions(2, 2));
    let new = release(&house.store, &house.courses, &[&next, &house.u]);
    update(&new);
    let before = tamper::everything(&*house.engine);
    assert_eq!(read(&house.manager, &["t", "u"]), told("v1", &[2, 1]));
    assert_eq!(house.update().plan, Plan::Nothing);
    assert_eq!(tamper::everything(&*house.engine), before);
    // Not when forced either.
    for transformers in [vec![], vec!["t".to_owned()]] {
        let options = UpdateOptions {
            force: Force::Everything,
            transformers,
        };
        let error = house.manager.update(&course_key(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(tamper::everything(&*house.engine), before);
    }
    // Of newer content it collects, and the newer release collects that again.
    house.courses.publish("v2");
    house.update();
    assert_eq!(read(&house.manager, &["t", "u"]), told("v2", &[1, 1]));
    assert_eq!(read(&new, &["t", "u"]), told("v2", &[2, 1]));
}

#[test]
fn what_is_too_new_is_said_at_once_and_left_alone() {
    let house = House::collected();
    let next = house.t.with_versions(versions_with(3, 3, 3));
    let new = release(&house.store, &house.courses, &[&next, &house.u]);
    house.while_away(|| update(&new));
    let (before, work) = (tamper::everything(&*house.engine), house.work());
    assert_eq!(
        refused(&house.manager, &["u", "t"]).kind(),
        ErrorKind::TooNew
    );
    let collected = house.manager.get_collected(&course_key(), &["u"]).unwrap();
    let stranger = collected.structure().key(collected.structure().root());
    let error = house
        .manager
        .get_block(&course_key(), &house.t, stranger)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooNew);
    // The other transformers go on.
    assert_eq!(read(&house.manager, &["u"]), told("v1", &[1]));
    assert_eq!(house.update().plan, Plan::Nothing);
    let error = house
        .manager
        .repair(&course_key(), &["t".to_owned()])
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooNew);
    assert_eq!(tamper::everything(&*house.engine), before);
    assert_eq!(
        house.t.collects.calls(),
        work.1 + 1,
        "only the repair that was asked for"
    );
    let u = house.u.with_versions(versions(2, 2));
    let old = release(&house.store, &house.courses, &[&house.t, &u]);
    assert_eq!(read(&old, &["u"]), told("v1", &[2]));
    assert_eq!(read(&new, &["t", "u"]), told("v1", &[3, 2]));
}

// Damage.

#[test]
fn whatever_record_is_damaged_is_collected_again_on_the_first_read_that_needs_it() {
    for name in ["t", "u", STRUCTURE, BLOCKS] {
        let mut house = House::collected();
        // One that remembers the structure does not need its record.
        house.manager = house.manager.structure_cache_bytes(0);
        let intact = tamper::record(&*house.engine, &course_key(), name);
        let read_all = || {
            let published = house.manager.get_published(&course_key()).unwrap();
            assert_eq!(published.structure.width(), house.blocks().len());
            read(&house.manager, &["t", "u"])
        };
        // One byte of the header, of the directory, and of the end.
        for at in [0, 17, 39, 41, intact.len() - 1] {
            let (loads, ..) = house.work();
            let mut bytes = tamper::record(&*house.engine, &course_key(), name);
            bytes[at] ^= 4;
            tamper::put(
                &*house.engine,
                Space::Records,
                course_key().as_str(),
                name,
                bytes,
            );
            assert_eq!(read_all(), told("v1", &[1, 1]));
            assert_eq!(house.work().0, loads + 1, "{name} byte {at}");
            let check = house.store.check(&course_key()).unwrap();
            assert!(check.damages(&course_key()).is_empty());
        }
        // Gone altogether.
        tamper::delete(&*house.engine, Space::Records, course_key().as_str(), name);
        let (loads, ..) = house.work();
        assert_eq!(read_all(), told("v1", &[1, 1]));
        assert_eq!(house.work().0, loads + 1, "{name}");
    }
}

#[test]
fn a_structure_that_is_remembered_is_served_while_its_record_is_damaged() {
    let house = House::collected();
    let blocks = house.blocks();
    tamper::damage_body(&*house.engine, &course_key(), STRUCTURE);
    let (loads, ..) = house.work();
    assert_eq!(house.blocks(), blocks);
    assert_eq!(read(&house.manager, &["t", "u"]), told("v1", &[1, 1]));
    assert_eq!(house.work().0, loads, "nothing is collected");
    // Whoever does not remember it collects again, in a new generation; then nobody does.
    let check = house.store.check(&course_key()).unwrap();
    assert_eq!(check.damages(&course_key()).len(), 1);
    let other = release(&house.store, &house.courses, &[&house.t, &house.u]);
    assert_eq!(read(&other, &["t", "u"]), told("v1", &[1, 1]));
    assert_eq!(house.work().0, loads + 1);
    assert_eq!(house.blocks(), blocks);
}

#[test]
fn damage_that_a_read_does_not_touch_costs_it_nothing() {
    let house = House::collected();
    tamper::damage_body(&*house.engine, &course_key(), "t");
    tamper::damage_body(&*house.engine, &course_key(), BLOCKS);
    assert_eq!(read(&house.manager, &["u"]), told("v1", &[1]));
    assert_eq!(house.work(), (1, 1, 1));
    // It is repaired when it is named.
    let damages = house
        .store
        .check(&course_key())
        .unwrap()
        .damages(&course_key());
    let names: Vec<_> = damages.into_iter().map(|damage| damage.record).collect();
    assert_eq!(names, [BLOCKS, "t"]);
    house.manager.repair(&course_key(), &names).unwrap();
    assert!(
        house
            .store
            .check(&course_key())
            .unwrap()
            .damages(&course_key())
            .is_empty()
    );
}

#[test]
fn a_damaged_row_of_the_index_heals_by_the_next_update() {
    let house = House::collected();
    tamper::damage_row(&*house.engine, &course_key());
    // Reading needs no index.
    assert_eq!(read(&house.manager, &["t", "u"]), told("v1", &[1, 1]));
    assert_eq!(house.work(), (1, 1, 1));
    assert_eq!(
        house.store.course(&course_key()).unwrap_err().kind(),
        ErrorKind::Damaged
    );
    assert_eq!(house.update().plan, Plan::Whole(Reason::NotStored));
    assert!(house.store.course(&course_key()).unwrap().is_some());
    assert_eq!(house.update().plan, Plan::Nothing);
}

/// After a rollback the older release is all there is: what is damaged would stay so, if its lower
/// WRITE version kept it from collecting.
#[test]
fn an_older_release_repairs_what_a_newer_one_wrote_once_it_is_damaged() {
    for damaged in ["t", STRUCTURE] {
        let house = House::collected();
        let next = house.t.with_versions(versions(2, 2));
        let new = release(&house.store, &house.courses, &[&next, &house.u]);
        update(&new);
        tamper::damage_body(&*house.engine, &course_key(), damaged);
        assert_eq!(
            read(&house.manager, &["t", "u"]),
            told("v1", &[1, 1]),
            "{damaged}"
        );
        assert_eq!(read(&new, &["t", "u"]), told("v1", &[2, 1]), "{damaged}");
    }
    // Not what it does not understand: that is for the newer release.
    let house = House::collected();
    let next = house.t.with_versions(versions_with(2, 2, 2));
    let new = release(&house.store, &house.courses, &[&next, &house.u]);
    house.while_away(|| update(&new));
    tamper::damage_body(&*house.engine, &course_key(), "t");
    let before = tamper::everything(&*house.engine);
    assert_eq!(refused(&house.manager, &["t"]).kind(), ErrorKind::TooNew);
    assert_eq!(tamper::everything(&*house.engine), before);
    let by_newer = house.while_away(|| read(&new, &["t", "u"]));
    assert_eq!(by_newer, told("v1", &[2, 1]));
}

/// A module store whose reader was changed may read the same content otherwise. That used to end
/// in a part that never fitted, and a course that could not be read any more.
#[test]
fn content_that_is_read_with_other_blocks_is_collected_whole() {
    let house = House::collected();
    house.courses.publish_with("v1", 3);
    let next = house.t.with_versions(versions(2, 2));
    let manager = release(&house.store, &house.courses, &[&next, &house.u]);
    assert_eq!(read(&manager, &["t", "u"]), told("v1", &[2, 1]));
    assert_eq!(house.blocks().len(), 4);
    assert_eq!(house.work(), (2, 2, 2));
}

// Failures of transformers.

fn fail(message: &'static str) -> impl Fn() -> courseblocks::Result<()> + Send + Sync {
    move || Err(Error::new(ErrorKind::InvalidCourse, message))
}

#[test]
fn a_transformer_that_fails_hurts_only_those_who_ask_for_it() {
    let panics: fn() -> courseblocks::Result<()> = || panic!("by accident");
    let fails: fn() -> courseblocks::Result<()> =
        || Err(Error::new(ErrorKind::InvalidCourse, "by accident"));
    for (act, how) in [(panics, "panicked"), (fails, "failed")] {
        let house = House::new();
        house.t.collects.set(act);
        let updated = house.update();
        assert!(updated.published.is_some());
        assert_eq!(updated.failures.len(), 1, "{updated:?}");
        let [failure] = &house.failures()[..] else {
            panic!("{:?}", house.failures())
        };
        assert_eq!((failure.transformer.as_str(), failure.attempts), ("t", 1));
        assert_eq!(failure.write_version.get(), 1);
        assert!(failure.error.contains("by accident"), "{}", failure.error);
        assert!(failure.error.contains(how), "{}", failure.error);

        // The others are served, and who asks for it is told why, without another attempt.
        for _ in 0..3 {
            assert_eq!(read(&house.manager, &["u"]), told("v1", &[1]));
            let error = refused(&house.manager, &["u", "t"]);
            assert_eq!(error.kind(), ErrorKind::Transformer);
            assert!(error.to_string().contains("by accident"), "{error}");
            let block = house.blocks()[0].clone();
            let error = house
                .manager
                .get_block(&course_key(), &house.t, &block)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Transformer);
        }
        assert_eq!(house.work(), (1, 1, 1));

        // Updates try again, and only it.
        for attempts in 2..4 {
            assert_eq!(house.update().plan, Plan::Part(vec!["t".into()]));
            assert_eq!(house.failures()[0].attempts, attempts);
        }
        assert_eq!(house.work(), (3, 3, 1));

        house.t.collects.set(|| Ok(()));
        house.update();
        assert_eq!(house.failures(), []);
        assert_eq!(read(&house.manager, &["u", "t"]), told("v1", &[1, 1]));
        assert_eq!(house.update().plan, Plan::Nothing);
    }
}

#[test]
fn a_known_failure_is_tried_again_when_code_or_content_changed() {
    let house = House::new();
    house.t.collects.set(fail("not that course"));
    house.update();
    refused(&house.manager, &["t"]);
    assert_eq!(house.work(), (1, 1, 1));
    // Other code.
    let next = house.t.with_versions(versions(1, 2));
    let next = release(&house.store, &house.courses, &[&next, &house.u]);
    refused(&next, &["t"]);
    assert_eq!(house.work(), (2, 2, 1));
    let failures = house.failures();
    assert_eq!(
        (failures[0].write_version.get(), failures[0].attempts),
        (2, 1)
    );
    // Other content.
    house.courses.publish("v2");
    house.t.collects.set(|| Ok(()));
    assert_eq!(read(&next, &["t", "u"]), told("v2", &[2, 1]));
    assert_eq!(house.failures(), []);
}

#[test]
fn the_last_good_data_stays_when_newer_code_fails_on_the_same_content() {
    let house = House::collected();
    let next = house.t.with_versions(versions(1, 2));
    let next = release(&house.store, &house.courses, &[&next, &house.u]);
    house.t.collects.set(fail("no"));
    let updated = update(&next);
    assert_eq!(updated.failures.len(), 1);
    for manager in [&house.manager, &next] {
        assert_eq!(read(manager, &["t", "u"]), told("v1", &[1, 1]));
    }
    assert_eq!(house.failures()[0].attempts, 1);
}

#[test]
fn a_transformer_that_answers_for_another_number_of_blocks_has_failed() {
    struct Careless;
    impl courseblocks::Transformer for Careless {
        type BlockData<'a> = ();
        type CourseData<'a> = ();
        fn name(&self) -> &'static str {
            "careless"
        }
        fn versions(&self) -> Versions {
            versions(1, 1)
        }
        fn collect(
            &self,
            _: &courseblocks::modulestore::Course,
        ) -> courseblocks::Result<courseblocks::transformer::Collected<(), ()>> {
            Ok(courseblocks::transformer::Collected::new(2, ()))
        }
    }
    let house = House::new();
    let mut registry = courseblocks::Registry::new();
    registry.register(Careless).unwrap();
    let manager = joined(Manager::new(
        house.store.clone(),
        Arc::new(registry),
        house.courses.clone(),
    ));
    let updated = update(&manager);
    assert_eq!(updated.failures.len(), 1, "{updated:?}");
    assert_eq!(
        refused(&manager, &["careless"]).kind(),
        ErrorKind::Transformer
    );
}

// One collect at a time.

#[test]
fn however_many_miss_together_one_of_them_collects() {
    engines::on_each(|engine, rounds| {
        let store = Arc::new(Store::with_engine(engine));
        let courses = Courses::with_one();
        let t = Recorder::new("t", 1, 1);
        let manager = release(&store, &courses, &[&t]);
        for round in 1..=rounds {
            store.delete(&lease_for(&store, []), &course_key()).unwrap();
            let together = Barrier::new(32);
            thread::scope(|scope| {
                for _ in 0..32 {
                    scope.spawn(|| {
                        together.wait();
                        assert_eq!(read(&manager, &["t"]), told("v1", &[1]));
                    });
                }
            });
            assert_eq!((courses.loads.calls(), t.collects.calls()), (round, round));
        }
    });
}

/// A reader that finds nothing, and then waits for a processor while another one collects, used to
/// collect again.
#[test]
fn a_collect_that_ends_between_a_readers_look_and_its_turn_is_enough() {
    for n in 0.. {
        let engine = Arc::new(Meddling::default());
        let store = store_on(&engine);
        let courses = Courses::with_one();
        let t = Recorder::new("t", 1, 1);
        let manager = Arc::new(release(&store, &courses, &[&t]));
        let other = Arc::downgrade(&manager);
        let slipped_in = engine.slip_in(n, move || {
            // Nobody reads any more where the manager leaves the fleet in the end.
            let Some(other) = other.upgrade() else {
                return;
            };
            let (done, is_done) = mpsc::channel();
            thread::spawn(move || {
                read(&other, &["t"]);
                let _ = done.send(());
            });
            // Where the reader has its turn already, the other one waits for it: let it go on.
            let _ = is_done.recv_timeout(Duration::from_millis(100));
        });
        assert_eq!(read(&manager, &["t"]), told("v1", &[1]));
        assert_eq!(
            (courses.loads.calls(), t.collects.calls()),
            (1, 1),
            "operation {n}"
        );
        if !slipped_in.happened() {
            assert!(n > 4, "nothing slipped in");
            break;
        }
    }
}

/// Lets a collect stand still until it is told to go on.
struct Halt {
    has_begun: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

fn halt(
    courses: &Courses,
    then: impl Fn() -> courseblocks::Result<()> + Send + Sync + 'static,
) -> Halt {
    let (begin, has_begun) = mpsc::channel();
    let (go_on, is_told) = mpsc::channel();
    let is_told = Mutex::new(is_told);
    courses.loads.set(move || {
        let _ = begin.send(());
        let _ = is_told.lock().unwrap().recv();
        then()
    });
    Halt { has_begun, go_on }
}

/// Readers join a flight that is under way; whether all of them do before it lands is up to the
/// scheduler, and either way nobody may hang.
#[track_caller]
fn while_others_wait(
    house: &House,
    halt: &Halt,
    lead: impl Fn() + Send + Sync,
    wait: impl Fn() + Send + Sync,
) {
    thread::scope(|scope| {
        scope.spawn(&lead);
        halt.has_begun.recv().unwrap();
        for _ in 0..8 {
            scope.spawn(&wait);
        }
        for _ in 0..1000 {
            thread::yield_now();
        }
        house.courses.loads.set(|| Ok(()));
        halt.go_on.send(()).unwrap();
    });
}

#[test]
fn a_collect_that_panics_or_fails_lets_those_go_who_wait_for_it() {
    let panics: fn() -> courseblocks::Result<()> = || panic!("while loading");
    let fails: fn() -> courseblocks::Result<()> =
        || Err(Error::new(ErrorKind::InvalidCourse, "unreadable"));
    for act in [panics, fails] {
        let house = House::new();
        let stand = halt(&house.courses, act);
        let lead = || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                house.manager.get_collected(&course_key(), &["t"]).map(drop)
            }));
            assert!(!matches!(outcome, Ok(Ok(()))));
        };
        let wait = || match house.manager.get_collected(&course_key(), &["t"]) {
            // Too late to wait: it collected itself.
            Ok(collected) => drop(content(&collected, &["t"])),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::InvalidCourse | ErrorKind::Transformer
                ),
                "{error}"
            ),
        };
        while_others_wait(&house, &stand, lead, wait);
        assert_eq!(read(&house.manager, &["t"]), told("v1", &[1]));
    }
}

/// Whoever waits for an update to end wants something else, and used to be told what was wrong
/// with it.
#[test]
fn an_update_that_fails_is_no_answer_to_readers_that_waited_for_it() {
    let house = House::new();
    let stand = halt(&house.courses, fail("unreadable"));
    let lead = || {
        let error = house
            .manager
            .update(&course_key(), &UpdateOptions::default())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidCourse);
    };
    let wait = || assert_eq!(read(&house.manager, &["t"]), told("v1", &[1]));
    while_others_wait(&house, &stand, lead, wait);
}

#[test]
fn a_reader_is_not_told_of_another_readers_transformer() {
    // Everything is due. Of those who wait, some want what fails and some what does not.
    for _ in 0..20 {
        let house = House::new();
        house.t.collects.set(fail("no"));
        let together = Barrier::new(8);
        thread::scope(|scope| {
            for number in 0..8 {
                let (house, together) = (&house, &together);
                scope.spawn(move || {
                    together.wait();
                    if number % 2 == 0 {
                        let error = refused(&house.manager, &["t"]);
                        assert_eq!(error.kind(), ErrorKind::Transformer);
                    } else {
                        assert_eq!(read(&house.manager, &["u"]), told("v1", &[1]));
                    }
                });
            }
        });
        assert_eq!(house.work(), (1, 1, 1));
        assert_eq!(house.failures()[0].attempts, 1);
    }
}

/// One reader has its turn and stands still; another one, who wants something else, waits for it.
/// Meanwhile a newer release collects, so that the first is told that its data is too new.
#[test]
fn a_reader_that_waited_is_not_told_what_was_too_new_for_another_one() {
    let engine = Arc::new(Meddling::default());
    let store = store_on(&engine);
    let courses = Courses::with_one();
    let (t, u) = (Recorder::new("t", 1, 1), Recorder::new("u", 1, 1));
    let manager = release(&store, &courses, &[&t, &u]);
    let newer = t.with_versions(versions_with(3, 3, 3));
    let newer = release(&store, &courses, &[&newer, &u]);
    // A shape that a live worker does not know would not be accepted.
    manager.leave().unwrap();
    // Its first look is three operations: two records, and what failed before.
    let (begin, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let slipped_in = engine.slip_in(3, move || {
        begin.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
    });
    thread::scope(|scope| {
        let first = scope.spawn(|| refused(&manager, &["t"]).kind());
        has_begun.recv().unwrap();
        let looks = engine.before.calls();
        let second = scope.spawn(|| read(&manager, &["u"]));
        // It has looked; give it time to find that somebody has the turn.
        while engine.before.calls() < looks + 3 {
            thread::yield_now();
        }
        for _ in 0..1000 {
            thread::yield_now();
        }
        update(&newer);
        go_on.send(()).unwrap();
        assert_eq!(first.join().unwrap(), ErrorKind::TooNew);
        assert_eq!(second.join().unwrap(), told("v1", &[1]));
    });
    assert!(slipped_in.happened());
    assert_eq!(courses.loads.calls(), 1);
}

#[test]
fn an_update_sees_what_was_published_while_another_collect_was_under_way() {
    let house = House::new();
    let stand = halt(&house.courses, || Ok(()));
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(&house.manager, &["t"]));
        stand.has_begun.recv().unwrap();
        // The reader asked for v1 already, and gets whatever it loads.
        house.courses.loads.set(|| Ok(()));
        let updates: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| update(&house.manager)))
            .collect();
        house.courses.publish("v2");
        stand.go_on.send(()).unwrap();
        reader.join().unwrap();
        for update in updates {
            update.join().unwrap();
        }
    });
    assert_eq!(
        house
            .manager
            .plan(&course_key(), &UpdateOptions::default())
            .unwrap(),
        Plan::Nothing
    );
    assert_eq!(read(&house.manager, &["t", "u"]), told("v2", &[1, 1]));
}

// Publishes that overtake one another.

/// The other process' publish is not known to this one's flights.
#[test]
fn a_collect_that_was_overtaken_never_replaces_what_is_newer() {
    let house = House::collected();
    house.courses.publish("v2");
    let other = release(&house.store, &house.courses, &[&house.t, &house.u]);
    let (other, courses) = (Arc::new(other), Arc::downgrade(&house.courses));
    let is_first = AtomicBool::new(true);
    house.t.collects.set(move || {
        // The first collect has loaded v2; before it publishes, v3 is published and collected.
        if is_first.swap(false, Ordering::SeqCst) {
            courses.upgrade().unwrap().publish("v3");
            update(&other);
        }
        Ok(())
    });
    house.update();
    assert_eq!(read(&house.manager, &["t", "u"]), told("v3", &[1, 1]));
    assert_eq!(house.update().plan, Plan::Nothing);
}

#[test]
fn a_part_that_was_overtaken_by_new_content_is_given_up() {
    let house = House::collected();
    let next = house.t.with_versions(versions(1, 2));
    let other = release(&house.store, &house.courses, &[&next, &house.u]);
    let manager = release(&house.store, &house.courses, &[&next, &house.u]);
    let (other, courses) = (Arc::new(other), Arc::downgrade(&house.courses));
    let is_first = AtomicBool::new(true);
    house.t.collects.set(move || {
        if is_first.swap(false, Ordering::SeqCst) {
            courses.upgrade().unwrap().publish("v2");
            update(&other);
        }
        Ok(())
    });
    update(&manager);
    assert_eq!(read(&manager, &["t", "u"]), told("v2", &[2, 1]));
}

#[test]
fn readers_and_updates_of_two_releases_never_see_mixed_content() {
    engines::on_each(|engine, publishes| {
        let store = Arc::new(Store::with_engine(engine));
        let courses = Courses::with_one();
        let (t, u) = (Recorder::new("t", 1, 1), Recorder::new("u", 1, 1));
        let old = release(&store, &courses, &[&t, &u]);
        let new = release(&store, &courses, &[&t.with_versions(versions(2, 2)), &u]);
        update(&old);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..4 {
                let manager = if number % 2 == 0 { &old } else { &new };
                let (is_over, t, u) = (&is_over, &t, &u);
                scope.spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        match manager.get_collected(&course_key(), &["t", "u"]) {
                            Ok(collected) => {
                                drop(content(&collected, &["t", "u"]));
                                let last = collected.structure().keys().as_slice().last();
                                check_block(manager, &[t, u], last.unwrap());
                            }
                            // Others were faster every time.
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                        }
                    }
                });
            }
            for number in 2..publishes {
                courses.publish(&format!("v{number}"));
                let manager = if number % 3 == 0 { &new } else { &old };
                match manager.update(&course_key(), &UpdateOptions::default()) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                }
            }
            is_over.store(true, Ordering::SeqCst);
        });
        update(&new);
        let last = format!("v{}", publishes - 1);
        assert_eq!(read(&new, &["t", "u"]), (last, vec![2, 1]));
    });
}

/// A block of some content, read singly: what is found is its own data, or that the course has
/// other content by now. Every block of new content has another name, and stands where an old one
/// stood.
fn check_block(manager: &Manager, transformers: &[&Recorder], block: &UsageKey) {
    let is_gone = |error: &Error| {
        let others_were_faster = error.kind() == ErrorKind::Conflict;
        assert!(
            others_were_faster || error.kind() == ErrorKind::NotFound,
            "{error}"
        );
    };
    let name = block.to_string();
    for transformer in transformers {
        match manager.get_block(&course_key(), *transformer, block) {
            Ok(stamp) => assert_eq!(stamp.unwrap().block, name),
            Err(error) => is_gone(&error),
        }
    }
    let names: Vec<_> = transformers
        .iter()
        .map(|one| Transformer::name(*one))
        .collect();
    match manager.get_block_entries(&course_key(), &names, block) {
        Ok(entries) => {
            let stamps = transformers
                .iter()
                .map(|one| entries.get(*one).unwrap().unwrap());
            let told: Vec<_> = stamps.map(|stamp| (stamp.block, stamp.source)).collect();
            assert!(
                told.iter()
                    .all(|told| *told == (name.clone(), told.1.clone()))
            );
            assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
        }
        Err(error) => is_gone(&error),
    }
}

// An engine that fails.

/// Every operation of the engine fails once, in turn, under `act`. Afterwards the course is what
/// it was before, or what it is to become; and what was answered with success is durable.
fn fail_everywhere(
    prepare: impl Fn(&House),
    act: impl Fn(&House) -> courseblocks::Result<()>,
    before: &(String, Vec<u32>),
    after: &(String, Vec<u32>),
) {
    for n in 1.. {
        let house = House::collected();
        prepare(&house);
        house.engine.fail_at(n);
        let outcome = act(&house);
        house.engine.fail_at(0);
        house.engine.crash();
        house.courses.take_away();
        let stored = read(&house.manager, &["t", "u"]);
        let check = house.store.check(&course_key()).unwrap();
        assert!(check.damages(&course_key()).is_empty(), "operation {n}");
        assert!(matches!(check.entry, Some(Ok(_))), "operation {n}");
        match outcome {
            Ok(()) => {
                assert_eq!(stored, *after, "operation {n}");
                assert!(n > 2, "nothing failed");
                return;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Storage, "operation {n}: {error}");
                assert!(
                    stored == *before || stored == *after,
                    "operation {n}: {stored:?}"
                );
            }
        }
    }
}

#[test]
fn an_engine_that_fails_anywhere_in_a_whole_update_leaves_the_old_or_the_new() {
    fail_everywhere(
        |house| house.courses.publish("v2"),
        |house| {
            house
                .manager
                .update(&course_key(), &UpdateOptions::default())
                .map(drop)
        },
        &told("v1", &[1, 1]),
        &told("v2", &[1, 1]),
    );
}

#[test]
fn an_engine_that_fails_anywhere_in_a_part_update_leaves_the_old_or_the_new() {
    let next = |house: &House| {
        let next = house.t.with_versions(versions(1, 2));
        house.another(&[&next, &house.u])
    };
    fail_everywhere(
        |_| {},
        |house| {
            let next = next(house);
            join(&next)?;
            next.update(&course_key(), &UpdateOptions::default())
                .map(drop)
        },
        &told("v1", &[1, 1]),
        &told("v1", &[2, 1]),
    );
    // A read that has to collect does the same.
    let needing = |house: &House| {
        let next = house.t.with_versions(versions(2, 2));
        house.another(&[&next, &house.u])
    };
    fail_everywhere(
        |_| {},
        |house| {
            let needing = needing(house);
            join(&needing)?;
            needing.get_collected(&course_key(), &["t"]).map(drop)
        },
        &told("v1", &[1, 1]),
        &told("v1", &[2, 1]),
    );
}

#[test]
fn an_engine_that_fails_anywhere_in_a_first_collect_or_a_delete_leaves_all_or_nothing() {
    for n in 1.. {
        let house = House::new();
        house.engine.fail_at(n);
        let outcome = house
            .manager
            .update(&course_key(), &UpdateOptions::default());
        house.engine.fail_at(0);
        house.engine.crash();
        let records = tamper::records(&*house.engine, &course_key());
        let entry = house.store.course(&course_key()).unwrap();
        match entry {
            None => assert!(outcome.is_err() && records.is_empty(), "operation {n}"),
            Some(entry) => assert_eq!((entry.records().len(), records.len()), (4, 4)),
        }
        if outcome.is_ok() {
            break;
        }
    }
    for n in 1.. {
        let house = House::collected();
        house.engine.fail_at(n);
        let outcome = house.manager.delete(&course_key());
        house.engine.fail_at(0);
        house.engine.crash();
        let records = tamper::records(&*house.engine, &course_key());
        let is_there = house.store.course(&course_key()).unwrap().is_some();
        assert_eq!(
            (is_there, records.len()),
            if is_there { (true, 4) } else { (false, 0) }
        );
        if outcome.is_ok() {
            assert!(!is_there);
            break;
        }
    }
}

// Single blocks.

impl House {
    fn blocks(&self) -> Vec<UsageKey> {
        let collected = self.manager.get_collected(&course_key(), &[]).unwrap();
        collected.structure().keys().as_slice().to_vec()
    }
}

#[test]
fn a_single_block_is_read_as_the_whole_course_has_it() {
    let house = House::new();
    // More than fits one chunk, not a multiple of it, and exactly one.
    for (version, children) in [("a", 0), ("b", 1), ("c", 15), ("d", 16), ("e", 100)] {
        house.courses.publish_with(version, children);
        house.update();
        let collected = house.manager.get_collected(&course_key(), &["t"]).unwrap();
        let column = collected.record("t").unwrap().column();
        let blocks = house.blocks();
        assert_eq!(blocks.len(), children + 1);
        for (entry, key) in column.entries().zip(&blocks) {
            let whole: Stamp = entry.unwrap().unwrap().decode().unwrap();
            let single = house
                .manager
                .get_block(&course_key(), &house.t, key)
                .unwrap()
                .unwrap();
            assert_eq!(single, whole);
            assert_eq!(single.block, key.to_string());
            assert_eq!(single.source, version);
            // A manager that remembers no structure searches the stored keys.
            let forgetful = house.another(&[&house.t, &house.u]);
            let stamp = forgetful.get_block(&course_key(), &house.t, key).unwrap();
            assert_eq!(stamp.unwrap(), whole);
            let entries = forgetful
                .get_block_entries(&course_key(), &["u", "t"], key)
                .unwrap();
            assert_eq!(entries.get(&house.t).unwrap().unwrap(), whole);
            assert_eq!(entries.get(&house.u).unwrap().unwrap(), whole);
            assert_eq!(entries.generation(), collected.generation());
            let other = Recorder::new("other", 1, 1);
            assert_eq!(entries.get(&other).unwrap_err().kind(), ErrorKind::Registry);
        }
        let strangers = [
            course_key().usage_key("html", "stranger").unwrap(),
            course_key().usage_key("aaa", "course").unwrap(),
            course_key().usage_key("zzz", "course").unwrap(),
            "block-v1:Org+Course+Other+type@course+block@course"
                .parse()
                .unwrap(),
        ];
        for stranger in strangers {
            let error = house
                .manager
                .get_block(&course_key(), &house.t, &stranger)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{stranger}");
        }
    }
}

#[test]
fn a_single_block_is_collected_when_it_must_be() {
    let house = House::new();
    let root = course_key().usage_key("course", "course").unwrap();
    let get = |manager: &Manager, t: &Recorder| {
        manager
            .get_block(&course_key(), t, &root)
            .unwrap()
            .unwrap()
            .written_with
    };
    assert_eq!(get(&house.manager, &house.t), 1);
    assert_eq!(get(&house.manager, &house.t), 1);
    assert_eq!(house.work(), (1, 1, 1));
    let next = house.t.with_versions(versions(2, 2));
    let manager = release(&house.store, &house.courses, &[&next, &house.u]);
    assert_eq!(get(&manager, &next), 2);
    assert_eq!(house.work(), (2, 2, 1));
    // Every bit of the two records matters, or is not touched by this read.
    for name in ["t", STRUCTURE] {
        for at in 0..tamper::record(&*house.engine, &course_key(), name).len() {
            let mut bytes = tamper::record(&*house.engine, &course_key(), name);
            bytes[at] ^= 1;
            tamper::put(
                &*house.engine,
                Space::Records,
                course_key().as_str(),
                name,
                bytes,
            );
            assert_eq!(get(&manager, &next), 2, "{name} byte {at}");
        }
        manager
            .repair(&course_key(), &["t".into(), STRUCTURE.into()])
            .unwrap();
    }
}

#[test]
fn the_module_store_is_not_asked_for_single_blocks_that_are_there() {
    let house = House::collected();
    house.courses.loads.set(fail("nobody may load it"));
    house.courses.take_away();
    for key in house.blocks() {
        assert!(
            house
                .manager
                .get_block(&course_key(), &house.u, &key)
                .unwrap()
                .is_some()
        );
    }
    assert!(house.courses.source_version(&course_key()).is_err());
}

// Another process, another day.

#[test]
fn what_was_collected_is_there_when_the_store_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let courses = Courses::with_one();
    let t = Recorder::new("t", 1, 1);
    let mut generations = BTreeSet::new();
    for round in 0..3 {
        let store = Arc::new(Store::open(&path).unwrap());
        let manager = release(&store, &courses, &[&t]);
        assert_eq!(courses.loads.calls(), 2 * round);
        let version = format!("v{round}");
        if round > 0 {
            let previous = format!("v{}", round - 1);
            assert_eq!(read(&manager, &["t"]), told(&previous, &[1]));
            assert!(manager.delete(&course_key()).unwrap());
        }
        courses.publish(&version);
        // Collected twice: generations go on where they were.
        for force in [Force::OutdatedOnly, Force::Everything] {
            let options = UpdateOptions {
                force,
                ..UpdateOptions::default()
            };
            let updated = manager.update(&course_key(), &options).unwrap();
            assert!(generations.insert(updated.published.unwrap().generation));
        }
        assert_eq!(read(&manager, &["t"]), told(&version, &[1]));
    }
}
