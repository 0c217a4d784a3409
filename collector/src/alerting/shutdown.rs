//! Lets the end of a run wait for messages that are on their way, so that they are not sent again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Says whether notifiers go on, and counts those that are sending.
#[derive(Debug, Default)]
pub struct Shutdown {
    is_over: AtomicBool,
    on_their_way: AtomicUsize,
}

/// Marks one notifier as sending until it is dropped, which a panic does, too.
pub(crate) struct OnItsWay<'a>(&'a Shutdown);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.on_their_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shutdown {
    /// Marks a notifier as sending until the returned value is dropped.
    pub(crate) fn begin(&self) -> OnItsWay<'_> {
        self.on_their_way.fetch_add(1, Ordering::SeqCst);
        OnItsWay(self)
    }

    /// Returns whether the shutdown has begun, so that no notifier begins to send any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Lets no notifier begin any more, and waits for those that are sending, but no longer than `bound`.
    pub async fn end(&self, bound: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        self.is_over.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while self.on_their_way.load(Ordering::SeqCst) > 0 && began.elapsed() < bound {
            tokio::time::sleep(STEP).await;
        }
    }
}
