//! What the outbox has promised over all incarnations, compared with what it shows.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

use uuid::Uuid;

/// An epoch and a number in it.
type Number = (Uuid, u64);

/// How an incarnation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// All that was written is there, the cursor too.
    Kill,
    /// Only what had reached the device is there. The cursor may be an earlier one.
    PowerCut,
}

#[derive(Default)]
pub(crate) struct History {
    /// The record of each number, and the number of each record: neither may ever have two. A declaration, which the
    /// outbox makes itself, is no record of ours.
    records: HashMap<Number, Option<u64>>,
    numbers: HashMap<u64, Number>,
    /// Answered for, not yet delivered or declared.
    owed: HashSet<Number>,
    /// Delivered or declared.
    settled: HashSet<Number>,
    /// The cursor that was answered for.
    moved: u64,
    pub(crate) kept: u64,
    pub(crate) sent: u64,
    pub(crate) declared: u64,
}

impl History {
    /// The history of a new outbox; the counts go on.
    pub(crate) fn restarted(self) -> History {
        History { kept: self.kept, sent: self.sent, declared: self.declared, ..History::default() }
    }

    /// Takes in what a child has told before its end.
    pub(crate) fn learn(&mut self, told: &[String], end: End) {
        for line in told {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["kept", id, epoch, seq] => {
                    self.kept += 1;
                    let number = self.meet(id, epoch, seq);
                    if !self.settled.contains(&number) {
                        self.owed.insert(number);
                    }
                }
                ["sent", id, epoch, seq, ref declared @ ..] => {
                    self.sent += 1;
                    let number = self.meet(id, epoch, seq);
                    self.settle(number);
                    for number in numbers(declared) {
                        self.declared += 1;
                        self.settle(number);
                    }
                }
                ["moved", position] => self.moved = position.parse().expect("a position"),
                ["opened", position] => self.see_cursor(position, end),
                // Whatever else was under way was refused by the disk.
                _ if end == End::PowerCut => {}
                _ => panic!("the child says: {line}"),
            }
        }
    }

    /// Takes in what was only heard after the end had begun: it promises nothing, but what was sent may be gone.
    pub(crate) fn learn_late(&mut self, told: &[String]) {
        let sent: Vec<String> = told.iter().filter(|line| line.starts_with("sent ")).cloned().collect();
        self.learn(&sent, End::PowerCut);
    }

    /// Compares with everything that a child has found; what is owed must be there, or be declared.
    pub(crate) fn compare(&mut self, told: &[String], end: End) {
        assert_eq!(told.last().map(String::as_str), Some("end"), "the outbox could not be read to its end: {told:?}");
        let mut there = HashSet::new();
        for line in &told[..told.len() - 1] {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["opened", position] => self.see_cursor(position, end),
                ["there", id, epoch, seq, ref declared @ ..] => {
                    let number = self.meet(id, epoch, seq);
                    there.insert(number);
                    there.extend(numbers(declared));
                }
                _ => panic!("the child says: {line}"),
            }
        }
        let mut lost: Vec<_> = self.owed.difference(&there).collect();
        lost.sort();
        assert!(lost.is_empty(), "{} records were answered for and are lost: {lost:?}", lost.len());
        self.are_dense(&there);
    }

    fn see_cursor(&mut self, position: &str, end: End) {
        let position: u64 = position.parse().expect("a position");
        assert!(
            end == End::PowerCut || position >= self.moved,
            "the cursor was at {} and is at {position}",
            self.moved
        );
    }

    /// Each epoch's numbers, delivered, declared or there, must be all from 1 to the highest.
    fn are_dense(&self, there: &HashSet<Number>) {
        let mut epochs: HashMap<Uuid, (u64, u64)> = HashMap::new();
        for (epoch, seq) in self.settled.union(there) {
            let (count, highest) = epochs.entry(*epoch).or_default();
            *count += 1;
            *highest = (*highest).max(*seq);
        }
        for (epoch, (count, highest)) in epochs {
            assert_eq!(count, highest, "of the numbers of {epoch} some were never issued");
        }
    }

    fn settle(&mut self, number: Number) {
        self.owed.remove(&number);
        self.settled.insert(number);
    }

    fn meet(&mut self, id: &str, epoch: &str, seq: &str) -> Number {
        let number = (self::epoch(epoch), seq.parse().expect("a number"));
        let id = (id != "dropped").then(|| id.parse().expect("an identity"));
        same(&mut self.records, number, id);
        id.into_iter().for_each(|id| same(&mut self.numbers, id, number));
        number
    }
}

fn epoch(text: &str) -> Uuid {
    text.parse().expect("an epoch")
}

fn same<K: Clone + Debug + Eq + Hash, V: Debug + PartialEq>(known: &mut HashMap<K, V>, key: K, value: V) {
    match known.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert(value);
        }
        Entry::Occupied(known) => assert_eq!(*known.get(), value, "{:?} has two meanings", known.key()),
    }
}

/// The numbers of ranges: epoch, first, last, and so on.
fn numbers<'a>(ranges: &'a [&'a str]) -> impl Iterator<Item = Number> + 'a {
    ranges.chunks(3).flat_map(|range| {
        let [epoch, first, last] = range else { panic!("a declaration is cut off: {range:?}") };
        let (first, last): (u64, u64) = (first.parse().expect("a number"), last.parse().expect("a number"));
        (first..=last).map(move |seq| (self::epoch(epoch), seq))
    })
}
