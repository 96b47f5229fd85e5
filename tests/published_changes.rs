//! Two changes of stored data that Open edX has published, replayed as rollouts of two phases. The
//! releases are those of `examples/published_changes`.

#[path = "../examples/published_changes/hidden_content.rs"]
mod hidden_content;
#[path = "../examples/published_changes/introduction.rs"]
mod introduction;
#[path = "common/joined.rs"]
mod joined;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use courseblocks::engine::MemoryEngine;
use courseblocks::modulestore::{Block, Body, Course, CourseBuilder, ModuleStore, SourceVersion};
use courseblocks::rollout::{GateAnswer, RetryPolicy, Rollout, Start, Step};
use courseblocks::transformer::LearnerDates;
use courseblocks::transformer::standard::{EffortEstimation, LoadDateData};
use courseblocks::{
    CourseKey, ErrorKind, FieldMap, FieldValue, Force, Manager, Registry, Result, Store, Timestamp,
    Transformer, UpdateOptions, UsageKey, UserContext, WriteVersion,
};
use hidden_content::{ByMergedDate, ByOwnDate, CollectsOwnDate, WithoutMergedDate};
use introduction::Introduced;
use joined::joined;

const COURSES: usize = 3;
const NOW: Timestamp = Timestamp::MIN;

/// Courses with one quiz that is hidden after its due date, and a page of text.
#[derive(Default)]
struct Courses {
    loads: AtomicUsize,
}

impl ModuleStore for Courses {
    fn source_version(&self, _: &CourseKey) -> Result<SourceVersion> {
        SourceVersion::new("1")
    }

    fn load(&self, course: &CourseKey) -> Result<Course> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let root = course.usage_key("course", "course")?;
        let version = self.source_version(course)?;
        let mut builder = CourseBuilder::new(course.clone(), root.clone(), version);
        let (quiz, page) = (quiz(course), course.usage_key("html", "page")?);
        builder.add_child(&root, &quiz);
        builder.add_child(&quiz, &page);
        let due = FieldValue::Date(date("2026-02-01T00:00:00Z"));
        let due = FieldMap::from([("due".to_owned(), due)]);
        let mut fields = due.clone();
        fields.insert("hide_after_due".to_owned(), FieldValue::Bool(true));
        builder.define(
            quiz,
            Block {
                fields,
                ..Block::default()
            },
        );
        builder.define(
            page,
            Block {
                inherited: Arc::new(due),
                body: Body::Text {
                    path: None,
                    text: "<p>some words to read</p>".to_owned(),
                },
                ..Block::default()
            },
        );
        builder.build()
    }
}

fn key(number: usize) -> CourseKey {
    format!("course-v1:Org+Course+{number}").parse().unwrap()
}

fn quiz(course: &CourseKey) -> UsageKey {
    course.usage_key("sequential", "quiz").unwrap()
}

fn date(text: &str) -> Timestamp {
    text.parse().unwrap()
}

struct House {
    store: Arc<Store>,
    courses: Arc<Courses>,
}

impl House {
    /// With all courses collected by `release`.
    fn new(release: Registry) -> (Self, Manager) {
        let house = Self {
            store: Arc::new(Store::with_engine(Arc::new(MemoryEngine::new()))),
            courses: Arc::default(),
        };
        let manager = house.release(release);
        for number in 0..COURSES {
            manager
                .update(&key(number), &UpdateOptions::default())
                .unwrap();
        }
        (house, manager)
    }

    fn release(&self, registry: Registry) -> Manager {
        let store = Arc::clone(&self.store);
        joined(Manager::new(
            store,
            Arc::new(registry),
            self.courses.clone(),
        ))
    }

    fn loads(&self) -> usize {
        self.courses.loads.load(Ordering::Relaxed)
    }

    fn start(&self, manager: &Manager, name: &str) -> Start {
        let rollout = Rollout::new(&self.store);
        let lease = manager.lease().unwrap();
        rollout.start(&lease, name, NOW, |_| {}).unwrap()
    }

    fn is_open(&self, manager: &Manager, name: &str, version: u32) -> bool {
        let rollout = Rollout::new(&self.store);
        let version = WriteVersion::new(version).unwrap();
        let lease = manager.lease().unwrap();
        let answer = rollout.gate(&lease, name, version, NOW).unwrap();
        matches!(answer, GateAnswer::Open(_))
    }

    /// From the floor to the open gate; answers how many courses were collected again.
    #[track_caller]
    fn roll_out(&self, manager: &Manager, name: &str, version: u32) -> usize {
        let started = self.start(manager, name);
        assert!(matches!(started, Start::Started { .. }), "{started:?}");
        assert!(!self.is_open(manager, name, version));
        let before = self.loads();
        while let Step::Done { .. } = manager.work(&RetryPolicy::default(), NOW).unwrap() {}
        assert!(self.is_open(manager, name, version));
        self.loads() - before
    }
}

fn with_hidden_content(transformer: impl Transformer) -> Registry {
    let mut registry = Registry::new();
    registry.register(LoadDateData).unwrap();
    registry.register(transformer).unwrap();
    registry
}

/// Whether the quiz is there after it was due, for everybody and for a learner with more time.
fn sees_quiz(manager: &Manager, course: &CourseKey) -> Result<(bool, bool)> {
    let sees = |user: &UserContext| -> Result<bool> {
        let names = ["load_date_data", hidden_content::NAME];
        let seen = manager.get_transformed(course, &names, user, None)?;
        let quiz = seen.structure.position(&quiz(course)).unwrap();
        Ok(seen.structure.contains(quiz))
    };
    let mut user = UserContext::new(date("2026-02-15T00:00:00Z"));
    let everybody = sees(&user)?;
    let extended = LearnerDates {
        due: Some(date("2026-03-01T00:00:00Z")),
        ..LearnerDates::default()
    };
    let page = course.usage_key("html", "page").unwrap();
    user.dates = [quiz(course), page].map(|block| (block, extended)).into();
    Ok((everybody, sees(&user)?))
}

/// Both are shut out by the merged date, which is what the change is about.
const BY_MERGED_DATE: (bool, bool) = (false, false);
const BY_OWN_DATE: (bool, bool) = (false, true);

#[track_caller]
fn check_all(manager: &Manager, expected: (bool, bool)) {
    for number in 0..COURSES {
        assert_eq!(sees_quiz(manager, &key(number)).unwrap(), expected);
    }
}

#[test]
fn hidden_content_moves_to_the_dates_of_learners_while_both_releases_run() {
    let (house, a) = House::new(with_hidden_content(ByMergedDate));
    check_all(&a, BY_MERGED_DATE);
    let b = house.release(with_hidden_content(CollectsOwnDate));
    check_all(&b, BY_MERGED_DATE);

    // One course is collected by B; both releases still say the same of all.
    let force = UpdateOptions {
        force: Force::Everything,
        ..UpdateOptions::default()
    };
    b.update(&key(0), &force).unwrap();
    check_all(&a, BY_MERGED_DATE);
    check_all(&b, BY_MERGED_DATE);

    let refused = house.start(&b, hidden_content::NAME);
    assert!(matches!(refused, Start::Refused(_)), "A may write still");
    a.leave().unwrap();
    // All but the one that is new already.
    let collected = house.roll_out(&b, hidden_content::NAME, 3);
    assert_eq!(collected, COURSES - 1);

    let before = house.loads();
    let c = house.release(with_hidden_content(ByOwnDate));
    check_all(&c, BY_OWN_DATE);
    // And back, twice.
    check_all(&b, BY_MERGED_DATE);
    let a = house.release(with_hidden_content(ByMergedDate));
    check_all(&a, BY_MERGED_DATE);
    assert_eq!(house.loads(), before, "nothing is collected for any of it");
    // What A would write is not accepted any more.
    let error = a.update(&key(0), &force).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    check_all(&c, BY_OWN_DATE);
}

#[test]
fn the_second_phase_without_the_first_collects_while_learners_wait() {
    let (house, _a) = House::new(with_hidden_content(ByMergedDate));
    let before = house.loads();
    let c = house.release(with_hidden_content(ByOwnDate));
    assert!(!house.is_open(&c, hidden_content::NAME, 3));
    check_all(&c, BY_OWN_DATE);
    assert_eq!(house.loads() - before, COURSES);
}

#[test]
fn once_the_merged_date_is_dropped_older_releases_are_told_and_misread_nothing() {
    let (house, c) = House::new(with_hidden_content(ByOwnDate));
    let d = house.release(with_hidden_content(WithoutMergedDate));
    let before = house.loads();
    check_all(&d, BY_OWN_DATE);
    assert_eq!(house.loads(), before, "D reads what C has written");
    c.leave().unwrap();
    let collected = house.roll_out(&d, hidden_content::NAME, 4);
    assert_eq!(collected, COURSES);
    check_all(&d, BY_OWN_DATE);

    let stored = house.store.course(&key(0)).unwrap();
    for older in [
        house.release(with_hidden_content(ByOwnDate)),
        house.release(with_hidden_content(CollectsOwnDate)),
        house.release(with_hidden_content(ByMergedDate)),
    ] {
        let error = sees_quiz(&older, &key(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooNew);
    }
    assert_eq!(house.store.course(&key(0)).unwrap(), stored);
}

fn with_effort(transformer: impl Transformer) -> Registry {
    let mut registry = with_hidden_content(ByOwnDate);
    registry.register(transformer).unwrap();
    registry
}

fn effort_of_page(manager: &Manager, course: &CourseKey) -> Option<i64> {
    let user = UserContext::new(NOW);
    let seen = manager
        .get_transformed(course, &[introduction::NAME], &user, None)
        .unwrap();
    let page = course.usage_key("html", "page").unwrap();
    let page = seen.structure.position(&page).unwrap();
    let effort = seen.outputs.field_override("effort_time", page);
    effort.and_then(FieldValue::as_int)
}

#[test]
fn a_new_transformer_is_collected_everywhere_before_anybody_relies_on_it() {
    let (house, without) = House::new(with_hidden_content(ByOwnDate));
    let introducing = house.release(with_effort(Introduced));
    let before = house.loads();
    for number in 0..COURSES {
        assert_eq!(effort_of_page(&introducing, &key(number)), None);
    }
    assert_eq!(house.loads(), before, "nobody waits for a collect");

    without.leave().unwrap();
    let collected = house.roll_out(&introducing, introduction::NAME, 1);
    assert_eq!(collected, COURSES);

    let before = house.loads();
    let relying = house.release(with_effort(EffortEstimation));
    for number in 0..COURSES {
        // Four words at 265 a minute.
        assert_eq!(effort_of_page(&introducing, &key(number)), Some(1));
        assert_eq!(effort_of_page(&relying, &key(number)), Some(1));
    }
    // The release before serves what it knows, and leaves alone what it does not.
    let without = house.release(with_hidden_content(ByOwnDate));
    check_all(&without, BY_OWN_DATE);
    assert_eq!(house.loads(), before);
}

#[test]
fn a_new_transformer_that_is_relied_on_at_once_is_collected_while_learners_wait() {
    let (house, _without) = House::new(with_hidden_content(ByOwnDate));
    let before = house.loads();
    let relying = house.release(with_effort(EffortEstimation));
    assert_eq!(effort_of_page(&relying, &key(0)), Some(1));
    assert_eq!(house.loads() - before, 1);
}

/// What `schema::check` would have said to whoever made the change.
#[cfg(feature = "schema")]
mod schema {
    use courseblocks::Versions;
    use courseblocks::modulestore::Course;
    use courseblocks::record::{DecodeError, Entry};
    use courseblocks::schema::check;
    use courseblocks::transformer::Collected;

    use super::*;

    /// Writes down what is new, and checks it.
    #[track_caller]
    fn accepted(transformer: &impl Transformer, course: &Course, schemas: &std::path::Path) {
        let written = check(transformer, course, schemas);
        if let Err(error) = written {
            let error = error.to_string();
            assert!(error.contains("so this was written"), "{error}");
        }
        check(transformer, course, schemas).unwrap();
    }

    #[test]
    fn every_part_of_the_change_is_fine() {
        let course = Courses::default().load(&key(0)).unwrap();
        let schemas = tempfile::tempdir().unwrap();
        accepted(&ByMergedDate, &course, schemas.path());
        accepted(&CollectsOwnDate, &course, schemas.path());
        accepted(&ByOwnDate, &course, schemas.path());
        accepted(&WithoutMergedDate, &course, schemas.path());
    }

    /// Part 3 as it would be without a thought for older releases.
    struct Careless;

    impl Transformer for Careless {
        type BlockData<'a> = hidden_content::Block4;
        type CourseData<'a> = ();

        fn name(&self) -> &'static str {
            hidden_content::NAME
        }

        fn versions(&self) -> Versions {
            let Versions { read, write, .. } = WithoutMergedDate.versions();
            Versions::new(read, write)
        }

        fn collect(&self, course: &Course) -> Result<Collected<hidden_content::Block4, ()>> {
            WithoutMergedDate.collect(course)
        }

        fn decode_block(&self, entry: Entry<'_>) -> Result<hidden_content::Block4, DecodeError> {
            WithoutMergedDate.decode_block(entry)
        }
    }

    #[test]
    fn a_field_that_is_dropped_without_a_min_reader_is_refused() {
        let course = Courses::default().load(&key(0)).unwrap();
        let schemas = tempfile::tempdir().unwrap();
        accepted(&ByOwnDate, &course, schemas.path());
        let error = check(&Careless, &course, schemas.path()).unwrap_err();
        assert!(error.to_string().contains("min_reader"), "{error}");
    }
}
