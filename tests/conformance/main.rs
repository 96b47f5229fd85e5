//! Compares the library with expected results, most of which were made by running the original.
//! One test per file; a file that is not there is told and skipped.

#[cfg(feature = "olx")]
mod courses;
mod graph;
#[path = "../common/joined.rs"]
mod joined;
mod keys;
mod locate;
mod manager;
#[path = "../model/structure.rs"]
#[expect(dead_code, reason = "the files do not have every operation")]
mod model;
#[path = "../common/one_course.rs"]
mod one_course;
mod release;
mod report;
mod transformers;
#[cfg(feature = "olx")]
mod users;
mod versions;

#[cfg(feature = "olx")]
use locate::COURSES;
use locate::VECTORS;
use report::Report;

#[test]
fn keys_agree_with_the_original() {
    if let Some(vectors) = VECTORS.read("keys.json") {
        let mut report = Report::new("keys.json");
        keys::run(&vectors, &mut report);
        report.finish();
    }
}

#[test]
fn graphs_agree_with_the_original() {
    if let Some(vectors) = VECTORS.read("dag.json") {
        let mut report = Report::new("dag.json");
        graph::run(&vectors, &mut report);
        report.finish();
    }
}

#[test]
fn versions_agree_with_the_original() {
    if let Some(vectors) = VECTORS.read("versions.json") {
        let mut report = Report::new("versions.json");
        versions::run(&vectors, &mut report);
        manager::run(&vectors, &mut report);
        report.finish();
    }
}

#[cfg(feature = "olx")]
#[test]
fn courses_are_read_as_the_original_reads_them() {
    let folder = COURSES.path();
    let mut report = Report::new(&folder.display().to_string());
    courses::run(&folder, &mut report);
    report.finish();
}

#[cfg(feature = "olx")]
#[test]
fn courses_of_our_own_are_read_by_the_rules() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/courses");
    let mut report = Report::new(&folder.display().to_string());
    courses::run(&folder, &mut report);
    report.finish();
}

#[cfg(feature = "olx")]
#[test]
fn what_users_see_of_courses_is_explained_by_the_rules() {
    let folder = COURSES.path();
    let mut report = Report::new(&format!("{} as users see them", folder.display()));
    users::run(courses::exports(&folder), &mut report);
    report.finish();

    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut report = Report::new(&format!("{} as users see them", own.display()));
    let exports = courses::exports(&own.join("courses"));
    users::run(
        exports.into_iter().chain([own.join("everything")]),
        &mut report,
    );
    report.finish();
}

#[test]
fn transformers_agree_with_the_original() {
    if let Some(vectors) = VECTORS.read("transformers.json") {
        let mut report = Report::new("transformers.json");
        transformers::run(&vectors, &mut report);
        report.finish();
    }
}

#[test]
fn transformers_do_what_cases_of_our_own_say() {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vectors");
    let vectors = locate::read_json(&own.join("transformers.json")).unwrap();
    let mut report = Report::new("transformers.json of our own");
    transformers::run(&vectors, &mut report);
    report.finish();
}

#[test]
fn there_is_something_to_compare_with() {
    let files = [
        "dag.json",
        "keys.json",
        "transformers.json",
        "versions.json",
    ];
    let folder = VECTORS.path();
    let found = files
        .iter()
        .any(|name| locate::find(&folder, name).is_some());
    assert!(found, "{} has none of {files:?}", folder.display());
}
