//! Verdicts on chains that were judged before.
//!
//! Two thirds of a check over TLS go into the signatures of the peer's chain, and that chain is the same for weeks. So
//! a verdict is remembered for the same name and the same bytes, under the same authorities (a memory belongs to one
//! context, which has one store). The peer still proves in each handshake that it holds the certificate's key.
//!
//! A verdict holds for [`LIFE`] at most, and never past the next moment at which a certificate of the chain begins or
//! ends: then it may change, for better or worse. Nor does it hold for a time before the one that it was made for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::verdict::Verdict;

/// Longest that a verdict holds.
const LIFE: Duration = Duration::from_secs(300);

/// Most verdicts that are kept.
const MOST: usize = 16 * 1024;

/// A hash of the name that is verified and of every certificate that the peer sent.
pub(super) type Key = [u8; 32];

/// The verdicts of one context.
#[derive(Default)]
pub(super) struct Memory {
    kept: Mutex<HashMap<Key, Kept>>,
    #[cfg(test)]
    recalled: std::sync::atomic::AtomicUsize,
}

struct Kept {
    verdict: Arc<Verdict>,
    from: Timestamp,
    until: Timestamp,
}

impl Kept {
    fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl Memory {
    /// The verdict on the same chain, where it still holds.
    pub(super) fn recall(&self, key: &Key, now: Timestamp) -> Option<Arc<Verdict>> {
        let kept = self.kept.lock();
        let kept = kept.get(key).filter(|kept| kept.holds(now))?;
        #[cfg(test)]
        self.recalled.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some(kept.verdict.clone())
    }

    /// Remembers a verdict that was made now; `changes` are the moments at which it may change.
    pub(super) fn keep(
        &self,
        key: Key,
        verdict: Arc<Verdict>,
        now: Timestamp,
        changes: impl Iterator<Item = Timestamp>,
    ) {
        let next = changes.filter(|change| *change > now).min();
        let until = now.saturating_add(LIFE).unwrap_or(now);
        let until = next.map_or(until, |next| next.min(until));
        let mut kept = self.kept.lock();
        if kept.len() >= MOST {
            kept.retain(|_, kept| kept.holds(now));
        }
        if kept.len() >= MOST {
            // Which of them goes matters little: it is judged again.
            let mut count = 0;
            kept.retain(|_, _| {
                count += 1;
                count % 2 == 0
            });
        }
        kept.insert(key, Kept { verdict, from: now, until });
    }

    /// How often a verdict was recalled.
    #[cfg(test)]
    pub(super) fn recalled(&self) -> usize {
        self.recalled.load(std::sync::atomic::Ordering::SeqCst)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn at(offset: i64) -> Timestamp {
        Timestamp::from_second(NOW + offset).unwrap()
    }

    fn key(number: u32) -> Key {
        openssl::sha::sha256(&number.to_be_bytes())
    }

    fn kept(changes: &[i64]) -> Memory {
        let memory = Memory::default();
        memory.keep(key(0), Verdict::blank(), at(0), changes.iter().map(|change| at(*change)));
        memory
    }

    #[test]
    fn a_verdict_holds_for_some_minutes_and_for_its_own_key() {
        let memory = kept(&[-1000, 100_000]);
        for (offset, holds) in [(0, true), (299, true), (300, false), (-1, false)] {
            assert_eq!(memory.recall(&key(0), at(offset)).is_some(), holds, "{offset}");
        }
        assert!(memory.recall(&key(1), at(0)).is_none());
    }

    #[test]
    fn a_verdict_ends_where_the_next_certificate_begins_or_ends() {
        let memory = kept(&[200, 100, -100]);
        assert!(memory.recall(&key(0), at(99)).is_some());
        assert!(memory.recall(&key(0), at(100)).is_none());
    }

    #[test]
    fn no_more_than_the_bound_are_kept_and_those_that_ended_go_first() {
        let memory = Memory::default();
        let most = u32::try_from(MOST).unwrap();
        for number in 0..most {
            memory.keep(key(number), Verdict::blank(), at(0), std::iter::empty());
        }
        memory.keep(key(most), Verdict::blank(), at(1), std::iter::empty());
        assert_eq!(memory.len(), MOST / 2 + 1);
        memory.keep(key(most + 1), Verdict::blank(), at(1000), std::iter::empty());
        for number in 0..most {
            memory.keep(key(2 * most + number), Verdict::blank(), at(1000), std::iter::empty());
        }
        assert!(memory.len() <= MOST);
        assert!(memory.recall(&key(3 * most - 1), at(1000)).is_some());
    }
}
