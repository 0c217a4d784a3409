//! Saying a thing that lasts: at once, then once a minute with the count of what was left out; sooner when it has
//! another reason.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(60);
/// Another reason is said after this time: two that take turns should not fill the log.
const NEWS_INTERVAL: Duration = Duration::from_secs(10);

/// When something was last said.
#[derive(Debug, Default)]
pub struct Rarely {
    said: Option<Instant>,
    unsaid: u64,
    reason: String,
}

impl Rarely {
    /// It happened `times` more; how often since it was last said, when it is to be said now.
    pub fn happened(&mut self, times: u64) -> Option<u64> {
        self.unsaid += times;
        if times == 0 || self.said.is_some_and(|said| said.elapsed() < INTERVAL) {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }

    /// The same, once, for a reason: one that was not said last is said sooner.
    pub fn happened_for(&mut self, reason: &str) -> Option<u64> {
        if self.reason != reason && self.said.is_some_and(|said| said.elapsed() >= NEWS_INTERVAL) {
            self.said = None;
        }
        let times = self.happened(1)?;
        reason.clone_into(&mut self.reason);
        Some(times)
    }

    /// Whether it was said and is not over.
    pub fn is_said(&self) -> bool {
        self.said.is_some()
    }

    /// It is over; whether it had been said.
    pub fn ended(&mut self) -> bool {
        self.unsaid = 0;
        self.said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_said_and_the_next_ones_are_counted() {
        let mut rarely = Rarely::default();
        assert_eq!(rarely.happened(0), None);
        assert_eq!(rarely.happened(3), Some(3));
        assert_eq!(rarely.happened(1), None);
        assert!(rarely.ended());
        assert!(!rarely.ended());
        assert_eq!(rarely.happened(1), Some(1));
    }

    #[test]
    fn another_reason_is_said_sooner_but_not_at_once() {
        let mut rarely = Rarely::default();
        assert_eq!(rarely.happened_for("refused"), Some(1));
        assert_eq!(rarely.happened_for("timed out"), None);
        rarely.said = Instant::now().checked_sub(NEWS_INTERVAL);
        assert_eq!(rarely.happened_for("refused"), None);
        assert_eq!(rarely.happened_for("timed out"), Some(3));
    }
}
