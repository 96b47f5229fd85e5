//! Compares the library with expected results, most of which were made by running the original.
//! One test per file; a file that is not there is told and skipped.

mod keys;
mod locate;
mod report;

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
fn there_is_something_to_compare_with() {
    let files = ["keys.json"];
    let folder = VECTORS.path();
    let found = files.iter().any(|name| folder.join(name).exists());
    assert!(found, "{} has none of {files:?}", folder.display());
}
