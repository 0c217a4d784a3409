//! Decides when the list of monitors is sent again. A reader of the records knows what is due only from a list that arrived.
//!
//! A list that the outbox dropped is sent again at once. A list that was sent may also be lost on its way, or later in Kafka, so
//! it is sent again after one minute, after an outage and every ten minutes. A connection that is lost and found again does not
//! cause more than one list in a short time. While Kafka is away no list is sent again, because it would only fill the outbox.

use std::time::{Duration, Instant};

/// A new list is said again after this time. Most of what loses a list also loses what was said just before and after it.
const SOON: Duration = Duration::from_secs(60);
/// The list that was said last is not older than this.
const EVERY: Duration = Duration::from_secs(600);
/// After an outage of Kafka a list is said again, but not sooner than this after it was said last.
const APART: Duration = Duration::from_secs(10);

/// What is known of the list that was said last.
#[derive(Debug)]
pub(super) struct Lists {
    said: Instant,
    /// It was said for the first time then.
    is_new: bool,
    may_be_lost: Option<Why>,
}

/// Why a list is said again, the less urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// It was said some time ago.
    Routine,
    /// Kafka takes records again.
    Reconnected,
    /// A part of it was dropped.
    Dropped,
}

impl Lists {
    /// All of a new list was said just now.
    pub(super) const fn said(now: Instant) -> Lists {
        Lists { said: now, is_new: true, may_be_lost: None }
    }

    pub(super) fn may_be_lost(&mut self, why: Why) {
        self.may_be_lost = self.may_be_lost.max(Some(why));
    }

    /// Whether it is to be said again now, and why; then it counts as said. While Kafka is away it is said for no other
    /// reason than that it was dropped: it will be said once Kafka takes records again.
    pub(super) fn take_due(&mut self, now: Instant, is_away: bool) -> Option<Why> {
        let age = now.saturating_duration_since(self.said);
        let why = match self.may_be_lost {
            Some(Why::Dropped) => Why::Dropped,
            _ if is_away => return None,
            Some(why) if age >= APART => why,
            _ if age >= if self.is_new { SOON } else { EVERY } => Why::Routine,
            _ => return None,
        };
        *self = Lists { is_new: false, ..Lists::said(now) };
        Some(why)
    }
}

impl Why {
    /// Says so in the log.
    pub(super) fn tell(self) {
        match self {
            Why::Routine => log::debug!("the list of monitors is said again, as it is every ten minutes"),
            Why::Reconnected => log::info!("kafka takes records again: the list of monitors is said again"),
            Why::Dropped => log::info!("what says which monitors are due was dropped: it is said again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_said_again_at_once_where_it_was_dropped_soon_where_it_is_new_and_every_ten_minutes() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut lists = Lists::said(began);
        assert_eq!(lists.take_due(at(59), false), None);
        assert_eq!(lists.take_due(at(60), false), Some(Why::Routine));
        assert_eq!(lists.take_due(at(659), false), None);
        assert_eq!(lists.take_due(at(660), true), None, "it would only fill the outbox");
        assert_eq!(lists.take_due(at(660), false), Some(Why::Routine));
        assert_eq!(lists.take_due(at(1_259), false), None, "it was said ten minutes after that");
        lists.may_be_lost(Why::Reconnected);
        assert_eq!(lists.take_due(at(1_259), false), Some(Why::Reconnected));
        lists.may_be_lost(Why::Reconnected);
        assert_eq!(lists.take_due(at(1_268), false), None, "the connection comes and goes");
        assert_eq!(lists.take_due(at(1_269), false), Some(Why::Reconnected));
        lists.may_be_lost(Why::Dropped);
        lists.may_be_lost(Why::Reconnected);
        assert_eq!((lists.take_due(at(1_270), false), lists.take_due(at(1_400), false)), (Some(Why::Dropped), None));
    }
}
