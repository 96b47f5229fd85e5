//! The module store over exports, and how exports are found.

use std::fs;

use courseblocks::modulestore::ModuleStore;
use courseblocks::modulestore::olx::{self, Limits, OlxModuleStore};
use courseblocks::{CourseKey, ErrorKind};

use crate::support::{export, write};

const ROOT: &str = "<course org='O' course='C' url_name='R'><html url_name='h'>x</html></course>";

fn key(text: &str) -> CourseKey {
    text.parse().unwrap()
}

#[test]
fn a_store_serves_the_courses_that_it_was_given() {
    let directory = export(&[
        ("a/course.xml", ROOT),
        ("b/library.xml", "<library org='O' library='L'/>"),
    ]);
    let store = OlxModuleStore::new();
    let course = store.insert(directory.path().join("a")).unwrap();
    let library = store.insert(directory.path().join("b")).unwrap();
    assert_eq!(course, key("course-v1:O+C+R"));
    assert_eq!(store.courses(), [course.clone(), library]);
    let loaded = store.load(&course).unwrap();
    assert_eq!(loaded.structure().len(), 2);
    assert_eq!(
        loaded.source_version(),
        &store.source_version(&course).unwrap()
    );
}

#[test]
fn the_version_changes_with_the_content_and_with_nothing_else() {
    let directory = export(&[("course.xml", ROOT)]);
    let store = OlxModuleStore::new();
    let course = store.insert(directory.path()).unwrap();
    let before = store.source_version(&course).unwrap();
    write(directory.path(), "static/video.mp4", b"media");
    write(directory.path(), "html/._a.xml", b"noise");
    write(directory.path(), "README.md", b"text");
    assert_eq!(store.source_version(&course).unwrap(), before);
    write(directory.path(), "html/a.html", b"content");
    assert_ne!(store.source_version(&course).unwrap(), before);
}

#[test]
fn a_course_that_is_not_here_is_not_found() {
    let store = OlxModuleStore::new();
    let course = key("course-v1:O+C+R");
    assert_eq!(store.load(&course).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        store.source_version(&course).unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let directory = export(&[("course.xml", ROOT)]);
    store.add(course.clone(), directory.path());
    assert!(store.load(&course).is_ok());
    drop(directory);
    assert_eq!(store.load(&course).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_export_of_another_course_is_refused() {
    let directory = export(&[("course.xml", ROOT)]);
    let store = OlxModuleStore::with_limits(Limits::default());
    let wanted = key("course-v1:O+C+Other");
    store.add(wanted.clone(), directory.path());
    let error = store.load(&wanted).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidCourse);
    assert!(error.to_string().contains("course-v1:O+C+R"), "{error}");
}

#[test]
fn a_place_stands_for_itself_or_for_what_lies_below_it() {
    let directory = export(&[
        ("b/course.xml", ROOT),
        ("b/nested/course.xml", ROOT),
        ("a/export.tar.gz", "not looked into"),
        ("a/notes.txt", ""),
    ]);
    let limits = Limits::default();
    let found = |place: &str| {
        let place = directory.path().join(place);
        let found = olx::find_courses(&place, &limits).unwrap();
        let relative = found
            .iter()
            .map(|found| found.strip_prefix(directory.path()).unwrap());
        relative
            .map(|place| place.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found(""), ["a/export.tar.gz", "b"]);
    assert_eq!(found("b"), ["b"]);
    assert_eq!(found("a/notes.txt"), ["a/notes.txt"]);
    fs::create_dir(directory.path().join("empty")).unwrap();
    assert!(found("empty").is_empty());
    let error = olx::find_courses(&directory.path().join("nowhere"), &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_store_is_shared_between_threads() {
    let directory = export(&[("course.xml", ROOT)]);
    let store = OlxModuleStore::new();
    let course = key("course-v1:O+C+R");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                store.insert(directory.path()).unwrap();
                store.load(&course).unwrap();
            });
        }
    });
    assert_eq!(store.courses(), [course]);
}
