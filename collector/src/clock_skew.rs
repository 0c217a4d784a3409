//! Derives from the times of a message how far the clock of its agent is wrong.
//!
//! ```text
//! agent's clock                    sent
//!                                    ╲
//! a right clock   ──── end seen ──── appended ──── read ────▶
//! ```
//! Kafka keeps with each message the time at which the agent sent it, by the agent's own clock. The time that the
//! message waited in the outbox before does not matter. By a right clock, the message was not sent after it was read
//! here. By a right clock, it also was not sent before Kafka was asked where the partition ends, when the message was
//! not there yet, apart from the seconds that sending takes. So the clock is behind by at most `read - sent`, and by at
//! least `end seen - sent`.
//!
//! Mostly the end was seen just before, and these bounds tell everything: when a right clock is within them, the clock
//! counts as right, otherwise as wrong by no more than is certain. A collector that catches up has not seen the end for
//! long, and its lag must not be taken for an error of the agent's clock. Then the known value stays, unless the bounds
//! contradict it. An agent whose clock is ahead contradicts them at once, since nothing is read before it is sent.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A message is prompt when the end of its partition was seen within this time before it was read. An agent reports every
/// minute, so the end is seen about that often when no collector lags.
pub const PROMPT: Duration = Duration::from_secs(90);

/// A moment by a clock that only counts, and by one that also knows how long the machine slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    counted: Instant,
    wall: Timestamp,
}

impl Moment {
    /// Returns the present moment.
    pub fn now() -> Moment {
        Moment { counted: Instant::now(), wall: Timestamp::now() }
    }

    /// Returns how much time passed until a later moment, at most.
    pub fn passed_until(self, later: Moment) -> Duration {
        self.counted_until(later).max(later.wall.duration_since(self.wall).try_into().unwrap_or_default())
    }

    /// Returns how much time passed until a later moment, at least: without the time that the machine slept.
    fn counted_until(self, later: Moment) -> Duration {
        later.counted.saturating_duration_since(self.counted)
    }
}

#[cfg(test)]
impl std::ops::Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, passed: Duration) -> Moment {
        Moment { counted: self.counted + passed, wall: self.wall + passed }
    }
}

/// The moments of messages that were read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The moment at which they were read.
    pub at: Moment,
    /// The moment at which their partition was known to end before them. It is none when that was never known.
    pub end_seen: Option<Moment>,
}

/// The moments of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage<'a> {
    /// The time at which it was sent, by the clock of its agent.
    pub sent: Timestamp,
    /// The moments at which it was read.
    pub reading: &'a Reading,
}

impl Passage<'_> {
    /// Returns whether the message cannot have waited in Kafka for long.
    pub fn is_prompt(&self) -> bool {
        self.reading.end_seen.is_some_and(|seen| seen.passed_until(self.reading.at) <= PROMPT)
    }

    /// Returns how far the clock of the agent is behind another clock, which shows `time` at the moment `now`. A
    /// negative value means that it is ahead. `known` is the value that was known before.
    pub fn clock_behind(&self, known: SignedDuration, time: Timestamp, now: Moment) -> SignedDuration {
        let before = |passed: Duration| {
            let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
            time.duration_since(self.sent).saturating_sub(passed)
        };
        let expected = if self.is_prompt() { SignedDuration::ZERO } else { known };
        let at_most = expected.min(before(self.reading.at.counted_until(now)));
        self.reading.end_seen.map_or(at_most, |seen| at_most.max(before(seen.passed_until(now))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: i64 = 0;

    /// Returns what is known after each of these messages, in seconds. Each message has four values: how far the clock
    /// is behind, the true second at which it was sent, the one at which it was read, and the one at which an end was
    /// seen before. The messages are stored an hour later.
    fn known(messages: &[(i64, i64, i64, Option<i64>)]) -> Vec<i64> {
        let began = Moment::now();
        let instant = |second: i64| began + Duration::from_secs(10_000_u64.saturating_add_signed(second));
        let time = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mut known = SignedDuration::ZERO;
        let learn = |&(behind, sent, read, end_seen): &(i64, i64, i64, Option<i64>)| {
            let reading = Reading { at: instant(read), end_seen: end_seen.map(instant) };
            let passage = Passage { sent: time(sent - behind), reading: &reading };
            known = passage.clock_behind(known, time(3_600 + 8_000), instant(3_600 + 8_000));
            known.as_secs()
        };
        messages.iter().map(learn).collect()
    }

    #[test]
    fn a_right_clock_is_right_however_its_messages_come() {
        let prompt = (RIGHT, 100, 101, Some(95));
        let of_a_lagging_collector = [(RIGHT, 200, 2_000, Some(110)), (RIGHT, 260, 2_100, Some(110))];
        let of_one_that_began_just_now = (RIGHT, 300, 2_200, None);
        let slow_to_be_sent = (RIGHT, 2_300, 2_320, Some(2_310));
        let all = [&[prompt], &of_a_lagging_collector[..], &[of_one_that_began_just_now]].concat();
        assert_eq!(known(&all), [0; 4]);
        assert_eq!(known(&[slow_to_be_sent, (RIGHT, 2_400, 2_401, Some(2_399))]), [10, 0]);
    }

    #[test]
    fn a_clock_behind_is_so_by_what_is_certain() {
        let of_quiet_partition = (600, 200, 201, Some(150));
        assert_eq!(known(&[(600, 100, 101, Some(99)), of_quiet_partition]), [599, 550]);
        assert_eq!(known(&[(600, 100, 2_000, None)]), [0], "that may be the collector's lag");
    }

    #[test]
    fn a_clock_ahead_is_so_at_once_also_for_who_lags() {
        assert_eq!(known(&[(-300, 100, 101, None), (-300, 160, 161, Some(159))]), [-299, -299]);
        assert_eq!(known(&[(-300, 100, 150, Some(20)), (-300, 160, 161, Some(159))]), [-250, -299]);
    }

    #[test]
    fn a_lag_neither_makes_a_clock_wrong_nor_right() {
        let prompt = (600, 100, 101, Some(99));
        let caught_up = [(600, 200, 3_000, Some(110)), (600, 2_900, 3_010, None)];
        assert_eq!(known(&[&[prompt], &caught_up[..]].concat()), [599, 599, 599]);
    }

    #[test]
    fn a_clock_that_jumps_is_known_by_the_next_message() {
        let jumps = [
            (RIGHT, 100, 101, Some(99)),
            (600, 160, 161, Some(159)),
            (-300, 220, 221, Some(219)),
            (RIGHT, 280, 281, Some(279)),
        ];
        assert_eq!(known(&jumps), [0, 599, -299, 0]);
        let set_right_while_the_collector_lags = [(600, 100, 101, Some(99)), (RIGHT, 200, 400, Some(102))];
        assert_eq!(known(&set_right_while_the_collector_lags), [599, 200], "it can't be behind by more");
    }

    #[test]
    fn what_comes_after_a_sleep_of_the_machine_makes_no_clock_wrong() {
        let fell_asleep = Moment::now();
        let awake = Moment { wall: fell_asleep.wall + Duration::from_secs(3_600), ..fell_asleep };
        let sent = fell_asleep.wall + Duration::from_secs(60);
        let passage = Passage { sent, reading: &Reading { at: awake, end_seen: Some(fell_asleep) } };
        assert!(!passage.is_prompt());
        assert_eq!(passage.clock_behind(SignedDuration::ZERO, awake.wall, awake), SignedDuration::ZERO);
    }
}
