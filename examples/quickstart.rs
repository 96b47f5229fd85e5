//! Imports one course and asks it two questions: what does an anonymous visitor see, and when does
//! one block open?
//!
//! `cargo run --example quickstart [EXPORT]`, a directory or `.tar.gz`; without one it is the
//! sample course.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use courseblocks::modulestore::olx::OlxModuleStore;
use courseblocks::transformer::standard::StartDate;
use courseblocks::{Manager, Registry, Store, Timestamp, UpdateOptions, UserContext};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/courses/demo-course");
    let export = std::env::args_os()
        .nth(1)
        .map_or_else(|| sample.into(), PathBuf::from);

    // Where courses come from, where they are kept, and what this release collects from them.
    let exports = OlxModuleStore::new();
    let course = exports.insert(export)?;
    let directory = tempfile::tempdir()?; // Yours would stay.
    let store = Arc::new(Store::open(directory.path().join("store"))?);
    let manager = Manager::new(store, Arc::new(Registry::standard()), Arc::new(exports));

    // Who writes joins the fleet: the store knows which releases are running. A process that runs
    // on calls `renew` thrice as often as its lease lasts.
    let now: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    manager.join("web-1", "2026.03", Duration::from_secs(30), now)?;

    // When a course was published: collect it. What is up to date is not touched.
    let updated = manager.update(&course, &UpdateOptions::default())?;
    if let Some(published) = updated.published {
        println!(
            "{course}: {} records of {} bytes",
            published.records, published.bytes
        );
    }

    // On every request: what may this user see? Only stored data is read.
    let visitor = UserContext::new(now);
    let names: Vec<_> = manager.registry().names().collect();
    let seen = manager.get_transformed(&course, &names, &visitor, None)?;
    let all = manager.get_collected(&course, &[])?;
    println!(
        "a visitor sees {} of {} blocks",
        seen.structure.len(),
        all.structure().len()
    );

    // One block alone, without the others.
    let root = all.structure().key(all.structure().root());
    if let Some(data) = manager.get_block(&course, &StartDate, root)? {
        println!("{root} opens at {}", data.merged_start_date);
    }
    Ok(())
}
