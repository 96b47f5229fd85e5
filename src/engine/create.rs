//! Making a store that is whole or none: for restores, which take their time.

use std::path::Path;
use std::sync::Arc;

use super::directory::{Directory, complete, require_vacant};
use super::{Engine, SledEngine, SledOptions};
use crate::error::Result;

impl SledEngine {
    /// Makes a store at `path`, where there is nothing or an empty directory, and lets `fill` fill
    /// it. It is a store when this has returned without an error. Before that, and when the process
    /// ends or the disk is full meanwhile, [`open`](Self::open) refuses the directory, and this
    /// begins again in it. It belongs to this process alone until it is closed in the end.
    ///
    /// # Errors
    ///
    /// - Whatever `fill` says; what it did is removed where that can be done.
    /// - [`OpenElsewhere`](crate::ErrorKind::OpenElsewhere): somebody is filling it.
    /// - [`Storage`](crate::ErrorKind::Storage): there is a store already, or anything else, or the
    ///   file system refuses.
    pub fn create<T>(
        path: &Path,
        options: &SledOptions,
        fill: impl FnOnce(Arc<Self>) -> Result<T>,
    ) -> Result<T> {
        let directory = Directory::open_to_fill(path)?;
        let path = directory.path().to_owned();
        let made = Self::open_in(directory, options).and_then(|engine| {
            let engine = Arc::new(engine);
            let made = fill(Arc::clone(&engine))?;
            engine.flush()?;
            complete(&path)?;
            Ok(made)
        });
        if made.is_err()
            && let Ok(directory) = Directory::open_to_fill(&path)
        {
            directory.give_up();
        }
        made
    }

    /// Whether [`create`](Self::create) would begin at `path`, for those who have something to do
    /// before. Touches nothing.
    ///
    /// # Errors
    /// [`Storage`](crate::ErrorKind::Storage) where it would not.
    pub fn require_vacant(path: &Path) -> Result<()> {
        require_vacant(path)
    }
}
