//! Tracks whether the database answers the question that it is asked regularly, even when there is nothing to store.

use std::time::{Duration, Instant};

/// A question that has no answer after this time counts as not answered.
const HANGS: Duration = Duration::from_secs(60);

/// The state of the questions, which are asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// The moment when the question began that has no answer yet.
    began: Option<Instant>,
    /// The moment when the first unanswered question began since the last answered one.
    vain_since: Option<Instant>,
}

impl Asking {
    /// Notes that a question begins.
    pub(super) fn begins(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// Notes whether the question was answered.
    pub(super) fn ended(&mut self, is_answered: bool, now: Instant) {
        let began = self.began.take().unwrap_or(now);
        self.vain_since = if is_answered { None } else { self.vain_since.or(Some(began)) };
    }

    /// Returns the moment since which questions have no answer; none when the last question was answered, and the
    /// present one may still be.
    pub(super) fn vain_since(&self, now: Instant) -> Option<Instant> {
        let hanging = self.began.filter(|began| now.saturating_duration_since(*began) > HANGS);
        self.vain_since.or(hanging)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_answers_nothing_or_hangs_is_away_since_it_was_first_asked_in_vain() {
        let (mut asking, began) = (Asking::default(), Instant::now());
        let after = |seconds| began + Duration::from_secs(seconds);
        let ask = |asking: &mut Asking, at, ends, is_answered| {
            asking.begins(after(at));
            asking.ended(is_answered, after(ends));
        };
        assert_eq!(asking.vain_since(after(9)), None);
        ask(&mut asking, 0, 1, true);
        assert_eq!(asking.vain_since(after(9)), None);
        ask(&mut asking, 10, 13, false);
        ask(&mut asking, 18, 21, false);
        assert_eq!(asking.vain_since(after(22)), Some(after(10)));
        ask(&mut asking, 26, 27, true);
        assert_eq!(asking.vain_since(after(28)), None);
        asking.begins(after(40));
        assert_eq!([after(100), after(101)].map(|now| asking.vain_since(now)), [None, Some(after(40))]);
        asking.ended(true, after(110));
        assert_eq!(asking.vain_since(after(999)), None);
    }
}
