//! Repeats work for as long as the collector runs, also when the work fails or panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use settings::LogThrottle;

use crate::unavailable::Unavailable;

/// How soon work is repeated after a failure.
const SOON: Duration = Duration::from_secs(5);

/// The times between two repetitions.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    interval: Duration,
    /// The least pause, as a multiple of the time that the work took.
    spare: u32,
    /// The pause after a failure.
    soon: Duration,
}

impl Pace {
    /// Creates the pace of work that loads this program or the database, so that it never fills a core.
    pub(crate) fn sparing(interval: Duration) -> Pace {
        Pace { interval, spare: 5, soon: SOON }
    }

    /// Creates the pace of work that mostly waits for others.
    pub(crate) fn steady(interval: Duration) -> Pace {
        Pace { spare: 0, ..Pace::sparing(interval) }
    }

    fn pause(self, took: Duration) -> Duration {
        self.interval.max(self.spare * took)
    }
}

/// Repeats `once` for ever, whether it fails or panics. It logs the failures.
pub(crate) async fn repeat(
    failure: &'static str,
    pace: Pace,
    once: impl Fn() -> Result<bool, Unavailable> + Send + Sync + 'static,
) {
    let once = Arc::new(once);
    let mut said = LogThrottle::default();
    loop {
        let began = Instant::now();
        let now = once.clone();
        let pause = match tokio::task::spawn_blocking(move || now()).await {
            Ok(Ok(true)) => {
                said.ended();
                pace.pause(began.elapsed())
            }
            Ok(Ok(false)) => pace.soon,
            Ok(Err(error)) => {
                if let Some(times) = said.happened(&error.to_string(), 1, began) {
                    log::warn!(times, error:% = error; "{failure}: trying again");
                }
                pace.soon
            }
            Err(error) if error.is_panic() => {
                if let Some(times) = said.happened("panic", 1, began) {
                    log::error!(times; "{failure}, as it panicked: trying again");
                }
                pace.soon
            }
            // The run of the collector is ending.
            Err(_) => return,
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_panics_is_done_again() {
        let (told, mut is_told) = tokio::sync::mpsc::unbounded_channel();
        let count = AtomicUsize::new(0);
        let once = move || {
            assert!(count.fetch_add(1, Ordering::Relaxed) > 0, "the first time it panics");
            Ok(told.send(()).is_ok())
        };
        let at_once = Pace { soon: Duration::ZERO, ..Pace::steady(Duration::ZERO) };
        tokio::select! {
            told = is_told.recv() => assert_eq!(told, Some(())),
            () = repeat("can't do it", at_once, once) => panic!("it gave up"),
        }
    }

    #[test]
    fn only_what_is_work_for_us_pauses_for_longer_when_it_took_long() {
        let after = |pace: Pace| [1, 3].map(|took| pace.pause(Duration::from_secs(took)).as_secs());
        assert_eq!(after(Pace::sparing(Duration::from_secs(10))), [10, 15]);
        assert_eq!(after(Pace::steady(Duration::from_secs(1))), [1, 1]);
    }
}
