//! Remembers where partitions ended, and when. A message after such an end was not there at that time.
//!
//! The collector asks Kafka for the end, but only after a message came since the last answer. librdkafka reports ends
//! by itself too late, after all that it fetched before. It reports nothing at all about a partition that is never
//! quiet.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock_skew::{Moment, PROMPT};

/// An end is asked for again after this time, when messages came since then.
const AGAIN: Duration = Duration::from_secs(10);

/// The ends of the partitions of one generation. What was read in an earlier generation is read again when it was not
/// committed.
#[derive(Default)]
pub(super) struct Watermarks {
    generation: u64,
    partitions: BTreeMap<i32, End>,
}

#[derive(Default)]
struct End {
    /// The offset after the last message that came.
    next: i64,
    has_news: bool,
    /// When the end was asked for, whether or not there was an answer.
    tried: Option<Moment>,
    /// An end that is not reached yet, and when it was asked for.
    ahead: Option<(i64, Moment)>,
    /// The latest time at which the end was not after this place.
    seen: Option<Moment>,
}

impl Watermarks {
    /// Notes a message that came, and returns a time at which it was not there yet, if one is known.
    pub(super) fn comes(&mut self, generation: u64, partition: i32, offset: i64) -> Option<Moment> {
        if self.generation != generation {
            *self = Watermarks { generation, ..Watermarks::default() };
        }
        let end = self.partitions.entry(partition).or_default();
        if offset < end.next {
            // It is another log, or the same one is read again.
            (end.ahead, end.seen) = (None, None);
        }
        (end.next, end.has_news) = (offset + 1, true);
        end.seen = end.ahead.take_if(|(ahead, _)| *ahead <= offset).map(|(_, at)| at).or(end.seen);
        end.seen
    }

    /// Returns the offset after the last message that came of a partition.
    pub(super) fn next(&self, partition: i32) -> Option<i64> {
        self.partitions.get(&partition).map(|end| end.next)
    }

    /// Returns a partition whose end is to be asked for now.
    pub(super) fn to_ask(&self, generation: u64, now: Moment) -> Option<i32> {
        let is_old = |at: &Moment, bound| at.passed_until(now) >= bound;
        let is_due = |end: &End| {
            end.has_news
                && end.tried.is_none_or(|at| is_old(&at, AGAIN))
                && end.ahead.is_none_or(|(_, at)| is_old(&at, PROMPT))
        };
        let due = |(partition, end): (&i32, &End)| is_due(end).then_some(*partition);
        (self.generation == generation).then(|| self.partitions.iter().find_map(due)).flatten()
    }

    /// Notes that the end was asked for at that moment, and the answer if there was one.
    pub(super) fn asked(&mut self, partition: i32, at: Moment, answer: Option<i64>) {
        let end = self.partitions.entry(partition).or_default();
        // An end without an answer is asked for again later.
        (end.tried, end.has_news) = (Some(at), end.has_news && answer.is_none());
        end.ahead = answer.map(|answer| (answer, at));
    }

    /// Returns whether an end is known after which no message came yet.
    #[cfg(test)]
    pub(super) fn knows(&self, partition: i32) -> bool {
        self.partitions.get(&partition).is_some_and(|end| end.ahead.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Moment {
        static BEGAN: std::sync::OnceLock<Moment> = std::sync::OnceLock::new();
        *BEGAN.get_or_init(Moment::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn what_comes_after_an_end_was_not_there_when_it_was_asked_for() {
        let mut ends = Watermarks::default();
        assert_eq!(ends.comes(0, 3, 7), None);
        ends.asked(3, after(0), Some(9));
        assert_eq!(ends.comes(0, 3, 8), None, "it may have been there");
        assert_eq!(ends.comes(0, 3, 9), Some(after(0)));
        ends.asked(3, after(40), Some(12));
        let until = [10, 11, 12].map(|offset| ends.comes(0, 3, offset));
        assert_eq!(until, [Some(after(0)), Some(after(0)), Some(after(40))]);
    }

    #[test]
    fn what_is_read_again_or_by_another_owner_tells_nothing_of_its_end() {
        let mut ends = Watermarks::default();
        ends.asked(0, after(0), Some(5));
        assert_eq!(ends.comes(0, 0, 5), Some(after(0)));
        assert_eq!([ends.comes(0, 0, 2), ends.comes(0, 0, 6)], [None, None]);
        ends.asked(0, after(40), Some(7));
        assert_eq!(ends.comes(1, 0, 7), None);
    }

    #[test]
    fn kafka_is_asked_when_something_came_and_seldom() {
        let mut ends = Watermarks::default();
        assert_eq!(ends.to_ask(0, after(0)), None);
        ends.comes(0, 0, 0);
        assert_eq!([ends.to_ask(0, after(0)), ends.to_ask(1, after(0))], [Some(0), None]);
        ends.asked(0, after(0), None);
        assert_eq!([9, 10].map(|seconds| ends.to_ask(0, after(seconds))), [None, Some(0)], "there was no answer");
        ends.asked(0, after(10), Some(1));
        assert_eq!(ends.to_ask(0, after(60)), None, "nothing came");
        ends.comes(0, 0, 1);
        assert_eq!([19, 20].map(|seconds| ends.to_ask(0, after(seconds))), [None, Some(0)]);
        ends.asked(0, after(30), Some(100));
        ends.comes(0, 0, 2);
        assert_eq!(
            [119, 120].map(|seconds| ends.to_ask(0, after(seconds))),
            [None, Some(0)],
            "who lags gets there first"
        );
    }
}
