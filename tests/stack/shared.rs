//! A server that many tests use: started by the first, ended with the process.

use std::sync::Arc;

use anyhow::{Result, bail};
use parking_lot::Mutex;

/// A static that is filled on first use. What fails once isn't tried again by each of a hundred tests.
pub struct Shared<T>(Mutex<Option<Result<Arc<T>, String>>>);

impl<T> Shared<T> {
    /// Empty.
    pub const fn new() -> Shared<T> {
        Shared(Mutex::new(None))
    }

    /// What is there, or what `start` makes.
    ///
    /// # Errors
    /// What `start` said, each time.
    pub fn get(&self, start: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut slot = self.0.lock();
        match slot.get_or_insert_with(|| start().map(Arc::new).map_err(|error| format!("{error:#}"))) {
            Ok(shared) => Ok(shared.clone()),
            Err(error) => bail!("{error}"),
        }
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared::new()
    }
}
