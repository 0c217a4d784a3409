//! The judge holds the truth of a world against what one of its databases says, once all is at rest.

mod due;
mod ledger;
mod proof;
mod rows;
mod seen;

use std::collections::BTreeSet;

use crate::fault::{Fault, FaultKind};
use crate::store::database::Database;
use crate::store::tables::Tables;
use crate::truth::Number;
use crate::world::World;

/// A case is a world, one of its databases, and what was found in it.
struct Case<'a> {
    world: &'a World,
    tables: &'a Tables,
    /// These results have rows.
    stored: BTreeSet<Number>,
    faults: Vec<Fault>,
}

/// At most these many faults of each kind are told.
const MOST: usize = 5;

impl<'a> Case<'a> {
    fn new(world: &'a World, database: &'a Database) -> Case<'a> {
        let tables = &database.tables;
        let number = |epoch_id: usize, seq: i64| {
            tables.epochs.get(epoch_id).map(|row| Number { epoch: row.epoch, seq: seq as u64 })
        };
        let stored = tables.results.iter().filter_map(|row| number(row.epoch_id, row.seq)).collect();
        Case { world, tables, stored, faults: Vec::new() }
    }

    fn finds(&mut self, kind: FaultKind, text: impl FnOnce() -> String) {
        if self.faults.iter().filter(|fault| fault.kind == kind).count() < MOST {
            self.faults.push(Fault { kind, text: text() });
        }
    }

    /// Answers whether the ledger has a number.
    fn accounts(&self, number: Number) -> bool {
        self.tables.epoch(number.epoch).is_some_and(|row| row.accounted.contains(number.seq as i64))
    }
}

/// Finds what is wrong when all has arrived, before agents speak again.
pub(crate) fn at_first_rest(world: &World, database: &Database) -> Vec<Fault> {
    let mut case = Case::new(world, database);
    seen::no_earlier_report(&mut case);
    case.faults
}

/// Finds what is wrong at the end.
pub(crate) fn at_the_end(world: &World, database: &Database) -> Vec<Fault> {
    let mut case = Case::new(world, database);
    rows::are_once_and_true(&mut case);
    ledger::has_all(&mut case);
    proof::holds(&mut case);
    seen::latest_report(&mut case);
    seen::monitors(&mut case);
    due::is_enough(&mut case);
    case.faults
}
