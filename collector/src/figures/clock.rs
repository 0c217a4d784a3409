//! How far an agent's clock is behind, negative: ahead, and what that is to those who compare its times with another
//! clock's. Nothing that is stored is dated again.

use jiff::SignedDuration;

/// Less than this is not told. A message may be with the agent's producer for so long, and what it tells is no surer; and
/// a result that comes so much later than it is dated is waited for in any case.
const TOLD: SignedDuration = SignedDuration::from_secs(30);
/// What is looked for further back than this costs more than it is worth: of a clock that is behind by more, results
/// count as older than they are.
const REGARDED: SignedDuration = SignedDuration::from_mins(15);

/// What is said of it: nothing is zero.
pub fn told(behind: SignedDuration) -> SignedDuration {
    if behind.abs() < TOLD { SignedDuration::ZERO } else { behind }
}

/// By how much the times of the agent's results are earlier than those of a right clock, as far as is regarded.
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
