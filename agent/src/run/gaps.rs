//! Says in the log that slots had no check: a gap in the history that nobody should have to look for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often at most.
const EVERY: Duration = Duration::from_secs(60);

/// What was said so far.
#[derive(Default)]
pub(super) struct Gaps {
    last: Option<Instant>,
    told: BTreeMap<String, u64>,
}

impl Gaps {
    /// Says what is new since the last time, if it is time.
    pub(super) fn tell(&mut self, missed: impl FnOnce() -> BTreeMap<String, u64>) {
        if self.last.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.last = Some(Instant::now());
        let missed = missed();
        for (reason, count) in &missed {
            let new = count - self.told.get(reason).copied().unwrap_or(0);
            if new > 0 {
                log::warn!(slots = new, reason = reason.as_str(); "slots had no check: {}", meaning(reason));
            }
        }
        self.told = missed;
    }
}

fn meaning(reason: &str) -> &'static str {
    match reason {
        "overlap" => "checks took longer than their monitors' interval",
        "no_worker" => "too many checks took long at once; `workers` bounds them",
        "late" => "the agent was stopped, or had no processor",
        "suspended" => "the machine slept",
        "paused" => "the outbox was at its bound",
        _ => "the agent was stopping",
    }
}
