//! Sets of sequence numbers as sorted, disjoint ranges. They do the arithmetic of the ledger as PostgreSQL's
//! `int8multirange` does it, for decisions before a transaction opens and for the proof.
//!
//! An epoch without holes is one range, however long it is, so the cost of a set depends on its holes.

use std::fmt;

/// A set of sequence numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The half-open ranges, sorted, with a gap between neighbours.
    parts: Vec<(i64, i64)>,
}

impl Ranges {
    /// Returns the empty set.
    pub const fn new() -> Ranges {
        Ranges { parts: Vec::new() }
    }

    /// Returns the numbers `first..=last`, or the empty set when `first` is above `last`.
    pub fn span(first: i64, last: i64) -> Ranges {
        let parts = if first > last { Vec::new() } else { vec![(first, last.saturating_add(1))] };
        Ranges { parts }
    }

    /// Returns the set of all numbers in these half-open ranges, which may have any order.
    pub fn from_parts(mut parts: Vec<(i64, i64)>) -> Ranges {
        parts.retain(|(start, end)| start < end);
        parts.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::with_capacity(parts.len().min(16));
        for (start, end) in parts {
            match merged.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        Ranges { parts: merged }
    }

    /// Returns the half-open ranges, sorted.
    pub fn parts(&self) -> &[(i64, i64)] {
        &self.parts
    }

    /// Returns whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns how many numbers there are.
    pub fn count(&self) -> i64 {
        self.parts.iter().map(|(start, end)| end - start).sum()
    }

    /// Returns the highest number.
    pub fn highest(&self) -> Option<i64> {
        self.parts.last().map(|(_, end)| end - 1)
    }

    /// Returns whether the number is in the set.
    pub fn contains(&self, number: i64) -> bool {
        let after = self.parts.partition_point(|(start, _)| *start <= number);
        after > 0 && number < self.parts[after - 1].1
    }

    /// Adds a number, and returns whether it is new. This is cheap at the end of the set, where most numbers are added.
    pub fn insert(&mut self, number: i64) -> bool {
        let at = self.parts.partition_point(|(start, _)| *start <= number);
        if at > 0 && number < self.parts[at - 1].1 {
            return false;
        }
        let joins_before = at > 0 && self.parts[at - 1].1 == number;
        let joins_after = at < self.parts.len() && self.parts[at].0 == number + 1;
        match (joins_before, joins_after) {
            (true, true) => {
                self.parts[at - 1].1 = self.parts[at].1;
                self.parts.remove(at);
            }
            (true, false) => self.parts[at - 1].1 = number + 1,
            (false, true) => self.parts[at].0 = number,
            (false, false) => self.parts.insert(at, (number, number + 1)),
        }
        true
    }

    /// Adds all numbers of the other set. This is cheap when they follow on those of this set, as they mostly do when
    /// they arrive.
    pub fn extend(&mut self, other: &Ranges) {
        match (self.parts.last_mut(), other.parts.as_slice()) {
            (Some(last), [(start, end)]) if *start == last.1 => last.1 = *end,
            _ => *self = self.union(other),
        }
    }

    /// Returns the numbers that are in one of the sets or in both.
    pub fn union(&self, other: &Ranges) -> Ranges {
        Ranges::from_parts(self.parts.iter().chain(&other.parts).copied().collect())
    }

    /// Returns the numbers that are in both sets.
    pub fn common(&self, other: &Ranges) -> Ranges {
        self.minus(&self.minus(other))
    }

    /// Returns the numbers that the other set does not have.
    pub fn minus(&self, other: &Ranges) -> Ranges {
        let mut parts = Vec::new();
        let mut cut = 0;
        for &(start, end) in &self.parts {
            let mut from = start;
            while cut < other.parts.len() && other.parts[cut].1 <= start {
                cut += 1;
            }
            for &(hole, hole_end) in &other.parts[cut..] {
                if hole >= end {
                    break;
                }
                if from < hole {
                    parts.push((from, hole));
                }
                from = from.max(hole_end);
            }
            if from < end {
                parts.push((from, end));
            }
        }
        Ranges { parts }
    }

    /// Returns the numbers from this one on.
    pub fn from(&self, first: i64) -> Ranges {
        self.minus(&Ranges { parts: vec![(i64::MIN, first)] })
    }
}

/// Writes the set as `1-5,7,9-10`.
impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(start, end)) in self.parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match end - start {
                1 => write!(f, "{comma}{start}")?,
                _ => write!(f, "{comma}{start}-{}", end - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ranges(parts: &[(i64, i64)]) -> Ranges {
        Ranges::from_parts(parts.to_vec())
    }

    fn numbers(ranges: &Ranges) -> BTreeSet<i64> {
        ranges.parts().iter().flat_map(|&(start, end)| start..end).collect()
    }

    #[test]
    fn neighbours_become_one_range() {
        let mut set = Ranges::new();
        assert!(set.insert(1) && set.insert(3) && set.insert(2));
        assert!(!set.insert(2));
        assert_eq!(set, ranges(&[(1, 4)]));
        assert_eq!((set.count(), set.highest()), (3, Some(3)));
    }

    #[test]
    fn arithmetic_agrees_with_a_plain_set_of_numbers() {
        // These are all pairs of subsets of 1..=6.
        for left in 0..64_u32 {
            for right in 0..64_u32 {
                let set = |bits: u32| (1..=6).filter(|bit| bits & (1 << (bit - 1)) != 0).collect::<BTreeSet<i64>>();
                let (a, b) = (set(left), set(right));
                let mut one = Ranges::new();
                a.iter().for_each(|&number| assert!(one.insert(number)));
                let other = ranges(&b.iter().rev().map(|&number| (number, number + 1)).collect::<Vec<_>>());
                assert_eq!(numbers(&one.union(&other)), &a | &b);
                let mut both = one.clone();
                both.extend(&other);
                assert_eq!(both, one.union(&other));
                assert_eq!(numbers(&one.minus(&other)), &a - &b);
                assert_eq!(numbers(&one.from(3)), a.range(3..).copied().collect());
                (1..=6).for_each(|number| assert_eq!(one.contains(number), a.contains(&number)));
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_line_do_not_overflow() {
        let all = Ranges::span(1, i64::MAX - 1);
        assert_eq!(all.count(), i64::MAX - 1);
        assert_eq!(all.minus(&Ranges::span(1, 5)).parts(), [(6, i64::MAX)]);
        assert!(Ranges::span(5, 4).is_empty());
    }

    #[test]
    fn sets_are_shown_as_people_write_them() {
        assert_eq!(ranges(&[(1, 6), (7, 8), (9, 11)]).to_string(), "1-5,7,9-10");
    }
}
