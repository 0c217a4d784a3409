//! The end of a run waits for messages that are on their way, so that they are not told again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Whether notifiers are to go on, and how many are on their way.
#[derive(Debug, Default)]
pub struct Shutdown {
    is_over: AtomicBool,
    on_their_way: AtomicUsize,
}

/// One notifier's being on its way, which a panic ends, too.
pub(crate) struct OnItsWay<'a>(&'a Shutdown);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.on_their_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shutdown {
    /// Begins a way, which lasts until what is returned is dropped.
    pub(crate) fn begin(&self) -> OnItsWay<'_> {
        self.on_their_way.fetch_add(1, Ordering::SeqCst);
        OnItsWay(self)
    }

    /// Whether it has begun, so that none begins any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Lets no one begin any more, and waits for those on their way, but not for ever.
    pub async fn end(&self, bound: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        self.is_over.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while self.on_their_way.load(Ordering::SeqCst) > 0 && began.elapsed() < bound {
            tokio::time::sleep(STEP).await;
        }
    }
}
