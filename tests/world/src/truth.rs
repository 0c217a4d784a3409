//! The truth is which runs there were, which records they made, and which of these are known to be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

use crate::monitor::Monitor;

/// Each record has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number {
    pub(crate) epoch: Uuid,
    pub(crate) seq: u64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} of {}", self.seq, short(self.epoch))
    }
}

/// Cuts an epoch's id to what is enough to know it in its world.
pub(crate) fn short(epoch: Uuid) -> String {
    epoch.simple().to_string()[..6].to_owned()
}

/// This is a run of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) epoch: Uuid,
    /// The agent had this name.
    pub(crate) name: String,
    /// This is the run before, as its disk knew it.
    pub(crate) previous: Option<Uuid>,
}

#[derive(Default)]
pub(crate) struct Truth {
    /// The runs are in the order in which they began.
    runs: Vec<Run>,
    /// The records are kept with the monitors of which they are results.
    records: BTreeMap<Number, Option<Monitor>>,
    /// These records left a disk or a log for a reason.
    gone: BTreeSet<Number>,
    /// These records left an outbox at its bound, and another record declared that last.
    dropped: BTreeMap<Number, Number>,
}

impl Truth {
    pub(crate) fn begins(&mut self, run: Run) {
        self.runs.push(run);
    }

    pub(crate) fn issues(&mut self, number: Number, monitor: Option<Monitor>) {
        self.records.insert(number, monitor);
    }

    /// Takes in that a record left a disk or a log.
    pub(crate) fn loses(&mut self, number: Number) {
        self.gone.insert(number);
    }

    /// Takes in that a record was dropped at the bound of an outbox, and that another one says so.
    pub(crate) fn drops(&mut self, number: Number, declaration: Number) {
        self.dropped.insert(number, declaration);
    }

    /// Lists all runs, in the order in which they began.
    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Finds the run that an epoch is.
    pub(crate) fn run(&self, epoch: Uuid) -> Option<&Run> {
        self.runs.iter().find(|run| run.epoch == epoch)
    }

    /// Lists all records, and of which monitor each is a result.
    pub(crate) fn records(&self) -> impl Iterator<Item = (Number, Option<Monitor>)> {
        self.records.iter().map(|(number, monitor)| (*number, *monitor))
    }

    /// Finds the monitor of which a record is a result.
    pub(crate) fn monitor(&self, number: Number) -> Option<Monitor> {
        self.records.get(&number).copied().flatten()
    }

    /// Answers whether it is known why a record is not there. It left a disk or a log, or what declared it dropped did.
    pub(crate) fn explains(&self, number: Number) -> bool {
        let is_gone = |number: &Number| self.gone.contains(number);
        is_gone(&number) || self.dropped.get(&number).is_some_and(is_gone)
    }
}
