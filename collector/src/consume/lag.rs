//! Counts how many messages of each partition are still to be stored.
//!
//! librdkafka counts the offsets from the committed one to the end of the partition. Not each of them is a message: a
//! transaction ends with a marker, which is never handed out, and after which nothing is committed. So a partition that
//! ends with a marker would be one message behind for ever. Nothing is left of a partition when these three conditions
//! hold:
//! 1. All up to its end was fetched, by the figures of librdkafka.
//! 2. After that, all that was fetched was taken out of librdkafka's queue: the queue was found empty.
//! 3. All that was taken out is committed.

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};
use rdkafka::statistics::Partition;

/// The figures that librdkafka told last, as long as they are not passed on.
#[derive(Default)]
pub(super) struct Lag(Mutex<BTreeMap<i32, Figures>>);

/// The figures that librdkafka tells about a partition.
#[derive(Clone, Copy)]
struct Figures {
    /// The number of offsets from the committed one to the end.
    offsets: i64,
    committed: i64,
    /// Whether a broker had nothing more after what it sent.
    is_fetched: bool,
}

impl Figures {
    /// Reads the figures of a partition. It returns none while librdkafka does not know how far behind the partition
    /// is.
    fn of(partition: &Partition) -> Option<Figures> {
        (partition.consumer_lag >= 0).then_some(Figures {
            offsets: partition.consumer_lag,
            committed: partition.committed_offset,
            is_fetched: partition.eof_offset == partition.hi_offset,
        })
    }
}

impl Lag {
    /// Takes new figures, and returns what the figures before them say, by partition. Those are left only when the
    /// queue was never empty since they came; otherwise they were passed on already.
    pub(super) fn comes<'a>(&self, partitions: impl IntoIterator<Item = &'a Partition>) -> BTreeMap<i32, i64> {
        let told = partitions.into_iter().filter_map(|partition| Some((partition.partition, Figures::of(partition)?)));
        let before = std::mem::replace(&mut *self.figures(), told.collect());
        before.into_iter().map(|(partition, figures)| (partition, figures.offsets)).collect()
    }

    /// Notes that the queue is empty, and returns what the last figures say, once. `next` returns the offset after the
    /// last message of a partition that was taken out, if there was any.
    pub(super) fn is_drained(&self, next: impl Fn(i32) -> Option<i64>) -> BTreeMap<i32, i64> {
        let left = |(partition, figures): (i32, Figures)| {
            let is_committed = next(partition).is_none_or(|next| next <= figures.committed);
            (partition, if figures.is_fetched && is_committed { 0 } else { figures.offsets })
        };
        std::mem::take(&mut *self.figures()).into_iter().map(left).collect()
    }

    /// Forgets the figures. What was fetched may be thrown away, so they say nothing about the queue any more.
    pub(super) fn forget(&self) {
        self.figures().clear();
    }

    fn figures(&self) -> MutexGuard<'_, BTreeMap<i32, Figures>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lag of partition 0, which ends at 2.
    fn told(committed: i64, fetched: i64) -> Lag {
        let lag = Lag::default();
        let partition = Partition {
            consumer_lag: 2 - committed,
            committed_offset: committed,
            eof_offset: fetched,
            hi_offset: 2,
            ..Partition::default()
        };
        assert!(lag.comes([&partition]).is_empty());
        lag
    }

    fn left(lag: &Lag, next: Option<i64>) -> Option<i64> {
        lag.is_drained(|_| next).get(&0).copied()
    }

    #[test]
    fn a_marker_behind_what_is_committed_is_nothing_that_is_left() {
        assert_eq!(left(&told(1, 2), Some(1)), Some(0));
        assert_eq!(left(&told(1, 2), None), Some(0), "nothing came since the start");
    }

    #[test]
    fn what_is_not_fetched_or_not_committed_is_left() {
        assert_eq!(left(&told(1, 1), Some(1)), Some(1));
        assert_eq!(left(&told(1, 2), Some(2)), Some(1));
    }

    #[test]
    fn figures_are_passed_on_once() {
        let lag = told(0, 2);
        assert_eq!(left(&lag, Some(1)), Some(2));
        assert_eq!(left(&lag, Some(1)), None);
    }

    #[test]
    fn while_the_queue_is_never_empty_the_offsets_are_told() {
        assert_eq!(told(1, 2).comes([]), BTreeMap::from([(0, 1)]));
        let lag = told(1, 2);
        lag.forget();
        assert!(lag.comes([]).is_empty());
    }

    #[test]
    fn a_partition_of_which_librdkafka_does_not_know_the_end_is_not_told() {
        let lag = Lag::default();
        lag.comes([&Partition { consumer_lag: -1, ..Partition::default() }]);
        assert_eq!(left(&lag, None), None);
    }
}
