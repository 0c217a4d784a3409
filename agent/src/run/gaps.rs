//! Logs that slots had no check, so that a gap in the history is told without a search.

use std::collections::BTreeMap;
use std::time::Instant;

use settings::LogThrottle;

/// What was said so far.
#[derive(Default)]
pub(super) struct Gaps {
    log: LogThrottle,
    counted: BTreeMap<String, u64>,
}

impl Gaps {
    /// Says what is new in the counts by reason: at once, and rarely while it goes on.
    pub(super) fn tell(&mut self, missed: BTreeMap<String, u64>) {
        for (reason, count) in &missed {
            let new = count - self.counted.get(reason).copied().unwrap_or(0);
            if let Some(slots) = self.log.happened(reason, new, Instant::now()) {
                log::warn!(slots, reason = reason.as_str(); "slots had no check: {}", meaning(reason));
            }
        }
        self.counted = missed;
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
