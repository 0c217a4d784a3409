//! What the outbox has promised over all incarnations, compared with what it shows.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::Hash;

/// An epoch and a number in it.
type Number = (String, u64);

/// The number of a declaration, which the outbox itself makes, has no record of ours.
const DECLARATION: &str = "dropped";

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
    /// The record of each number, and the number of each record: neither may ever have two.
    records: HashMap<Number, String>,
    numbers: HashMap<String, Number>,
    /// Answered for, not yet delivered.
    owed: HashMap<Number, String>,
    /// Numbers that were delivered or declared.
    settled: HashMap<Number, ()>,
    /// The cursor that was answered for.
    moved: u64,
    pub(crate) kept: u64,
    pub(crate) sent: u64,
    pub(crate) declared: u64,
}

impl History {
    /// Takes in what a child has told before its end.
    pub(crate) fn learn(&mut self, told: &[String], end: End) {
        for line in told {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["kept", id, epoch, seq] => {
                    self.kept += 1;
                    let number = self.meet(id, epoch, seq);
                    if !self.settled.contains_key(&number) {
                        self.owed.insert(number, id.to_owned());
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

    /// Compares with everything that a child has found; what is owed must be there, or be declared.
    pub(crate) fn compare(&mut self, told: &[String], end: End) {
        assert_eq!(told.last().map(String::as_str), Some("end"), "the outbox could not be read to its end: {told:?}");
        let mut there = HashMap::new();
        for line in &told[..told.len() - 1] {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["opened", position] => self.see_cursor(position, end),
                ["there", id, epoch, seq, ref declared @ ..] => {
                    let number = self.meet(id, epoch, seq);
                    there.insert(number, ());
                    there.extend(numbers(declared).map(|number| (number, ())));
                }
                _ => panic!("the child says: {line}"),
            }
        }
        let mut lost: Vec<_> = self.owed.keys().filter(|number| !there.contains_key(*number)).collect();
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
    fn are_dense(&self, there: &HashMap<Number, ()>) {
        let mut epochs: HashMap<&str, (u64, u64)> = HashMap::new();
        let new = there.keys().filter(|number| !self.settled.contains_key(*number));
        for (epoch, seq) in self.settled.keys().chain(new) {
            let (count, highest) = epochs.entry(epoch).or_default();
            *count += 1;
            *highest = (*highest).max(*seq);
        }
        for (epoch, (count, highest)) in epochs {
            assert_eq!(count, highest, "of the numbers of {epoch} some were never issued");
        }
    }

    fn settle(&mut self, number: Number) {
        self.owed.remove(&number);
        self.settled.insert(number, ());
    }

    fn meet(&mut self, id: &str, epoch: &str, seq: &str) -> Number {
        let number = (epoch.to_owned(), seq.parse().expect("a number"));
        same(&mut self.records, number.clone(), id.to_owned());
        if id != DECLARATION {
            same(&mut self.numbers, id.to_owned(), number.clone());
        }
        number
    }
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
        (first..=last).map(move |seq| ((*epoch).to_owned(), seq))
    })
}
