//! How far an agent's clock is behind (a negative value means that it is ahead), and what follows for readers who
//! compare its times with another clock. No stored time is changed.

use jiff::SignedDuration;

/// A smaller difference is not told. A message may stay in the agent's producer for this time, so what it tells is not
/// more exact. A result that arrives later by this time is waited for in any case.
const TOLD: SignedDuration = SignedDuration::from_secs(30);
/// The largest difference that is taken into account, because it costs too much to look for results further back. When
/// a clock is behind by more, its results count as older than they are.
const REGARDED: SignedDuration = SignedDuration::from_mins(15);

/// Returns the difference that is told. Zero means that nothing is told.
pub fn told(behind: SignedDuration) -> SignedDuration {
    if behind.abs() < TOLD { SignedDuration::ZERO } else { behind }
}

/// Returns by how much the times of the agent's results are earlier than those of a right clock, up to the largest
/// difference that is taken into account.
pub fn regarded(behind: SignedDuration) -> SignedDuration {
    told(behind).min(REGARDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sending_explains_is_not_told_and_what_costs_too_much_is_not_regarded() {
        let seconds = SignedDuration::from_secs;
        assert_eq!([-29, 29, 30, -30, 7_200].map(|behind| told(seconds(behind)).as_secs()), [0, 0, 30, -30, 7_200]);
        assert_eq!([29, 600, 7_200, -7_200].map(|behind| regarded(seconds(behind)).as_secs()), [0, 600, 900, -7_200]);
    }
}
