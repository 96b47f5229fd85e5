//! The engines that a store can be on.

use std::sync::Arc;

use courseblocks::engine::{Engine, MemoryEngine, SledEngine, SledOptions};

/// Runs `test` with every engine, each of them empty, and with how often it may repeat itself:
/// slow engines get fewer rounds.
pub(crate) fn on_each(test: impl Fn(Arc<dyn Engine>, usize)) {
    println!("in memory:");
    test(Arc::new(MemoryEngine::new()), 100);
    println!("with sled:");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    test(
        Arc::new(SledEngine::open(&path, &SledOptions::default()).unwrap()),
        12,
    );
}
