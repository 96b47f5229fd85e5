//! The engines that a store can be on.

use std::sync::Arc;

use courseblocks::engine::{Engine, MemoryEngine, SharedEngine, SledEngine, SledOptions};

/// Runs `test` with every engine, each of them empty, and with how often it may repeat itself:
/// slow engines get fewer rounds.
pub(crate) fn on_each(test: impl Fn(Arc<dyn Engine>, usize)) {
    println!("in memory:");
    test(Arc::new(MemoryEngine::new()), 100);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let options = SledOptions::default();
    println!("with sled:");
    let sled = SledEngine::open(&path("sled"), &options).unwrap();
    test(Arc::new(sled), 12);
    println!("with sled, as a guest:");
    let [_owner, guest] = [0; 2].map(|_| SharedEngine::open(&path("shared"), &options).unwrap());
    test(Arc::new(guest), 12);
}
