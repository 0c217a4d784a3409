//! Tells which positions are under way, and up to which position everything is delivered without a gap. It does no I/O.

use std::collections::{BTreeMap, BTreeSet};

/// Positions between the cursor and the last one that was handed to the producer.
#[derive(Debug)]
pub(super) struct Window {
    /// Everything up to here is done with.
    cursor: u64,
    /// Everything up to here has been handed over once since the last rewind.
    sent: u64,
    /// Under way, with their bytes.
    in_flight: BTreeMap<u64, usize>,
    bytes: usize,
    /// Done with beyond the cursor.
    delivered: BTreeSet<u64>,
    /// Beyond the cursor, from the first to the last of each: there is no such record any more.
    gaps: BTreeMap<u64, u64>,
}

impl Window {
    /// A window that begins after `cursor`.
    pub(super) fn new(cursor: u64) -> Window {
        Window {
            cursor,
            sent: cursor,
            in_flight: BTreeMap::new(),
            bytes: 0,
            delivered: BTreeSet::new(),
            gaps: BTreeMap::new(),
        }
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether a position was delivered before a rewind, and need not be sent again.
    pub(super) fn was_delivered(&self, position: u64) -> bool {
        position <= self.cursor || self.delivered.contains(&position)
    }

    /// A position was handed to the producer.
    pub(super) fn send(&mut self, position: u64, bytes: usize) {
        self.in_flight.insert(position, bytes);
        self.bytes += bytes;
        self.sent = self.sent.max(position);
    }

    /// A position need not be handed over.
    pub(super) fn pass(&mut self, position: u64) {
        self.sent = self.sent.max(position);
    }

    /// The outbox has nothing between what was handed over last and this position.
    pub(super) fn gap_before(&mut self, position: u64) {
        if position > self.sent + 1 {
            self.gaps.insert(self.sent + 1, position - 1);
            self.sent = position - 1;
            self.advance();
        }
    }

    /// A position was acknowledged, or what is there is declared dropped.
    pub(super) fn deliver(&mut self, position: u64) {
        self.fail(position);
        self.done(position);
    }

    /// A position was not acknowledged: it is no longer under way, and stays before the cursor.
    pub(super) fn fail(&mut self, position: u64) {
        if let Some(bytes) = self.in_flight.remove(&position) {
            self.bytes -= bytes;
        }
    }

    /// Begins again at the cursor: what is not delivered by now counts as not sent.
    pub(super) fn rewind(&mut self) {
        self.in_flight.clear();
        self.bytes = 0;
        self.sent = self.cursor;
    }

    /// Everything up to a position is done with, however that came.
    pub(super) fn skip_to(&mut self, position: u64) {
        if position > self.cursor {
            self.cursor = position;
            self.sent = self.sent.max(position);
            self.delivered = self.delivered.split_off(&(position + 1));
            self.gaps = self.gaps.split_off(&(position + 1));
            self.advance();
        }
    }

    fn done(&mut self, position: u64) {
        if position > self.cursor {
            self.delivered.insert(position);
            self.advance();
        }
    }

    fn advance(&mut self) {
        loop {
            let next = self.cursor + 1;
            if self.delivered.remove(&next) {
                self.cursor = next;
            } else if let Some(last) = self.gaps.remove(&next) {
                self.cursor = last;
            } else {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(positions: std::ops::RangeInclusive<u64>) -> Window {
        let mut window = Window::new(positions.start() - 1);
        for position in positions {
            window.send(position, 10);
        }
        window
    }

    #[test]
    fn the_cursor_waits_for_the_gap_before_it() {
        let mut window = sent(1..=3);
        window.deliver(2);
        window.deliver(3);
        assert_eq!((window.cursor(), window.in_flight(), window.bytes()), (0, 1, 10));
        window.deliver(1);
        assert_eq!((window.cursor(), window.in_flight(), window.bytes()), (3, 0, 0));
    }

    #[test]
    fn after_a_rewind_only_what_was_not_delivered_is_sent_again() {
        let mut window = sent(1..=3);
        window.deliver(2);
        window.fail(1);
        window.rewind();
        assert_eq!((window.sent(), window.cursor()), (0, 0));
        assert_eq!((1..=3).map(|p| window.was_delivered(p)).collect::<Vec<_>>(), [false, true, false]);
        window.send(1, 10);
        window.pass(2);
        window.deliver(1);
        assert_eq!((window.sent(), window.cursor()), (2, 2));
    }

    #[test]
    fn a_late_report_of_what_is_behind_the_cursor_changes_nothing() {
        let mut window = sent(1..=3);
        window.skip_to(2);
        window.deliver(1);
        window.deliver(2);
        assert_eq!((window.cursor(), window.in_flight()), (2, 1));
        window.deliver(3);
        assert_eq!(window.cursor(), 3);
    }

    #[test]
    fn the_cursor_passes_what_is_not_there() {
        let mut window = sent(1..=2);
        window.gap_before(3);
        assert_eq!(window.sent(), 2);
        window.gap_before(1_000_001);
        window.send(1_000_001, 10);
        window.deliver(1_000_001);
        window.deliver(2);
        assert_eq!(window.cursor(), 0);
        window.deliver(1);
        assert_eq!((window.cursor(), window.sent(), window.in_flight()), (1_000_001, 1_000_001, 0));
    }

    #[test]
    fn a_gap_that_the_outbox_has_passed_is_forgotten() {
        let mut window = sent(1..=1);
        window.gap_before(11);
        window.rewind();
        window.skip_to(5);
        window.gap_before(11);
        assert_eq!((window.cursor(), window.sent()), (10, 10));
    }

    #[test]
    fn what_is_passed_and_then_declared_makes_no_gap() {
        let mut window = Window::new(0);
        window.pass(1);
        window.deliver(1);
        window.send(2, 10);
        window.deliver(2);
        assert_eq!((window.sent(), window.cursor()), (2, 2));
    }
}
