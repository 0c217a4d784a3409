//! Decides when the log repeats a reason: a reason is logged at its first time, and then less and less often.
//!
//! ```text
//! happened("refused") ──▶ said at once, then after 1, 2, 4, 8, 10, 10, … minutes, each time with its count
//! happened("expired") ──▶ said at once, too: each reason has its own pace
//! ```
//!
//! Two texts that differ only in numbers, such as a port or a duration, are one reason. The number of reasons is
//! bounded, so a peer that invents reasons can't fill the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A reason that was logged is logged again after this time. Each further pause is twice as long as the one before.
const SHORTEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause. A reason that did not happen for this time counts as a new one.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The most reasons that are counted separately. Further reasons are counted under one name.
const MOST_REASONS: usize = 16;
/// The name of the reasons beyond the bound.
const OTHERS: &str = "";

/// The time at which each reason was logged last.
#[derive(Debug, Default)]
pub struct LogThrottle {
    reasons: BTreeMap<String, Reason>,
}

#[derive(Debug)]
struct Reason {
    said: Instant,
    happened: Instant,
    pause: Duration,
    /// The number of times that it happened since it was logged.
    unsaid: u64,
}

impl LogThrottle {
    /// Notes that `reason` happened `times` more times, which may be 0. It returns how often it happened since it was
    /// logged last when it is to be logged now, and none otherwise.
    pub fn happened(&mut self, reason: &str, times: u64, now: Instant) -> Option<u64> {
        self.reasons
            .retain(|_, reason| reason.unsaid > 0 || now.saturating_duration_since(reason.happened) < LONGEST_PAUSE);
        let mut name = without_numbers(reason);
        if self.reasons.len() >= MOST_REASONS && !self.reasons.contains_key(&name) {
            OTHERS.clone_into(&mut name);
        }
        let Some(reason) = self.reasons.get_mut(&name) else {
            if times == 0 {
                return None;
            }
            let reason = Reason { said: now, happened: now, pause: SHORTEST_PAUSE, unsaid: 0 };
            self.reasons.insert(name, reason);
            return Some(times);
        };
        if times > 0 {
            reason.happened = now;
            reason.unsaid += times;
        }
        if reason.unsaid == 0 || now.saturating_duration_since(reason.said) < reason.pause {
            return None;
        }
        reason.said = now;
        reason.pause = (2 * reason.pause).min(LONGEST_PAUSE);
        Some(std::mem::take(&mut reason.unsaid))
    }

    /// Notes that the trouble is over, and returns whether any reason of it had been logged.
    pub fn ended(&mut self) -> bool {
        let is_said = !self.reasons.is_empty();
        self.reasons.clear();
        is_said
    }
}

/// Returns the text with a `0` in the place of each number.
fn without_numbers(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii_digit() {
            false => name.push(c),
            true if name.ends_with('0') => {}
            true => name.push('0'),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_reason_is_said_at_once_then_rarely_with_its_count() {
        let (mut log, begin) = (LogThrottle::default(), Instant::now());
        let mut said = Vec::new();
        for second in 0..3_000 {
            let now = begin + Duration::from_secs(second);
            said.extend(log.happened("refused", 1, now).map(|times| (second / 60, times)));
        }
        assert_eq!(said, [(0, 1), (1, 60), (3, 120), (7, 240), (15, 480), (25, 600), (35, 600), (45, 600)]);
    }

    #[test]
    fn another_reason_is_said_when_it_comes() {
        let (mut log, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(log.happened("refused", 1, now), Some(1));
        assert_eq!(log.happened("expired", 3, now), Some(3));
        assert_eq!(log.happened("refused", 1, now), None);
        assert_eq!(log.happened("expired", 1, now), None);
    }

    #[test]
    fn numbers_make_no_other_reason() {
        let (mut log, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(log.happened("port 9092: refused after 3 ms", 1, now), Some(1));
        assert_eq!(log.happened("port 19092: refused after 127 ms", 1, now), None);
    }

    #[test]
    fn what_did_not_happen_for_long_or_ended_is_new() {
        let (mut log, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(log.happened("refused", 0, now), None);
        assert!(!log.ended());
        assert_eq!(log.happened("refused", 2, now), Some(2));
        assert!(log.ended());
        assert_eq!(log.happened("refused", 1, now), Some(1));
        assert_eq!(log.happened("refused", 1, now + MINUTE / 2), None);
        assert_eq!(log.happened("refused", 1, now + 11 * MINUTE), Some(2));
        assert_eq!(log.happened("refused", 1, now + 22 * MINUTE), Some(1));
    }

    #[test]
    fn what_was_not_said_is_said_when_the_pause_is_over_though_nothing_more_happens() {
        let (mut log, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(log.happened("late", 3, now), Some(3));
        assert_eq!(log.happened("late", 200, now + MINUTE / 2), None);
        assert_eq!(log.happened("late", 0, now + MINUTE), Some(200));
        assert_eq!(log.happened("late", 0, now + 30 * MINUTE), None);
    }

    #[test]
    fn a_flood_of_reasons_is_said_under_one_name() {
        let (mut log, now) = (LogThrottle::default(), Instant::now());
        let letters = 'a'..='z';
        let said = letters.clone().filter(|letter| log.happened(&letter.to_string(), 1, now).is_some()).count();
        assert_eq!(said, MOST_REASONS + 1);
        assert_eq!(log.reasons.len(), MOST_REASONS + 1);
    }
}
