//! Proves that nothing is missing, from the tables alone.
//!
//! This file counts the numbers of each epoch. *Issued* is the highest number that was seen or named. Each number up to
//! it is exactly one of these:
//! - *stored*: it arrived, and if it is a result, its row is there or past the retention,
//! - *rejected*: it arrived and was set aside,
//! - *dropped*: it was declared dropped and did not arrive,
//! - *pending* or *missing*.
//!
//! The report of a clean stop has the last number of its epoch, unless the next epoch says otherwise. A number beyond
//! it that someone made up counts only for itself.
//!
//! A number that did not arrive is pending when the agent's latest report allows that. The latest report of an end of
//! its chain names the oldest record that waits in the outbox. Everything from that record on, and everything that was
//! issued after that report, may still come (`ends`). Where a chain forked, each end has its own outbox and its own
//! report. What waited in an outbox with which its agent no longer runs is given up, and what a retired agent held is
//! given up, too: it is missing until that outbox is heard of again. A result that arrived and whose row is gone is
//! missing, whatever an agent says.

mod ends;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use settings::terminal;
use uuid::Uuid;

use crate::ranges::Ranges;
use crate::store::EpochFacts;
use ends::Ends;

/// The account of the numbers of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The epoch.
    pub epoch: Uuid,
    /// The agent.
    pub agent: String,
    /// The epoch before this one.
    pub previous: Option<Uuid>,
    /// Whether the end of the epoch is known: it stopped cleanly, or the next epoch said where it ended.
    pub closed: bool,
    /// Whether more than one epoch says that it came after this one.
    pub forked: bool,
    /// The counts of the numbers.
    #[serde(flatten)]
    pub counts: Counts,
    /// The number of rows beyond one for each number.
    pub duplicates: i64,
    /// The number of rows that the ledger does not have.
    pub strays: i64,
    /// The numbers that are missing, as the first and the last of each range.
    pub missing_ranges: Vec<[i64; 2]>,
    /// How many of the missing numbers are given up, with the outbox that held them.
    pub given_up: i64,
    /// The numbers that are given up, as the first and the last of each range.
    pub given_up_ranges: Vec<[i64; 2]>,
    #[serde(skip)]
    missing: Ranges,
    #[serde(skip)]
    forlorn: Ranges,
}

/// The counts of an account: `issued = stored + dropped + rejected + pending + missing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The numbers that were issued.
    pub issued: i64,
    /// The numbers that arrived and were kept.
    pub stored: i64,
    /// The numbers that were declared dropped.
    pub dropped: i64,
    /// The numbers that arrived and were set aside.
    pub rejected: i64,
    /// The numbers that may still come.
    pub pending: i64,
    /// The numbers that are nowhere.
    pub missing: i64,
}

/// The accounts of all epochs and their sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The account of each epoch.
    pub accounts: Vec<Account>,
    /// The sums of the counts.
    pub total: Counts,
    /// How many of the missing numbers are given up.
    pub given_up: i64,
    /// The number of rows beyond one for each number.
    pub duplicates: i64,
    /// The number of rows that the ledger does not have.
    pub strays: i64,
}

/// Makes the accounts. `orphans` is the number of rows without an epoch. Epochs that were not asked for get no account.
/// They only tell where others ended, and what waits.
pub fn prove(facts: &[EpochFacts], orphans: i64) -> Proof {
    let mut children: HashMap<Uuid, usize> = HashMap::new();
    let before = |fact: &EpochFacts| fact.previous.map(|(epoch, _)| epoch);
    facts.iter().filter_map(before).for_each(|previous| *children.entry(previous).or_default() += 1);
    let ends = Ends::of(facts);
    let asked = || facts.iter().filter(|fact| !fact.is_aside);
    let accounts: Vec<Account> =
        asked().map(|fact| account(fact, children.get(&fact.epoch).copied().unwrap_or(0), &ends)).collect();
    let total = accounts.iter().fold(Counts::default(), |total, account| total.plus(&account.counts));
    let sum = |orphans, of: fn(&Account) -> i64| accounts.iter().map(of).fold(orphans, i64::saturating_add);
    let (given_up, duplicates) = (sum(0, |account| account.given_up), sum(0, |account| account.duplicates));
    Proof { given_up, duplicates, strays: sum(orphans, |account| account.strays), accounts, total }
}

fn account(fact: &EpochFacts, successors: usize, ends: &Ends) -> Account {
    let arrived = fact.accounted.union(&fact.rows).union(&fact.rejected).from(1);
    let all = match fact.stopped_at {
        Some(end) => Ranges::span(1, end.max(fact.claimed)).union(&arrived),
        None => Ranges::span(1, arrived.highest().unwrap_or(0).max(fact.claimed)),
    };
    let rejected = fact.rejected.minus(&fact.rows).from(1);
    let results = arrived.minus(&rejected).minus(&fact.notices);
    let lost = results.minus(&fact.rows).minus(&fact.expired);
    let absent = all.minus(&arrived);
    let undeclared = absent.minus(&fact.dropped);
    let unexplained = undeclared.minus(ends.open(fact.epoch));
    let missing = unexplained.union(&lost);
    let forlorn = unexplained.common(ends.given_up(fact.epoch));
    let told = |ranges: &Ranges| ranges.parts().iter().map(|&(start, end)| [start, end - 1]).collect();
    let counts = Counts {
        issued: all.count(),
        stored: arrived.minus(&rejected).minus(&lost).count(),
        dropped: absent.count() - undeclared.count(),
        rejected: rejected.count(),
        pending: undeclared.count() - unexplained.count(),
        missing: missing.count(),
    };
    Account {
        epoch: fact.epoch,
        agent: fact.agent.clone(),
        previous: fact.previous.map(|(epoch, _)| epoch),
        closed: fact.stopped_at.is_some() || successors > 0,
        forked: successors > 1,
        counts,
        duplicates: fact.duplicates,
        strays: fact.rows.minus(&fact.accounted).count(),
        missing_ranges: told(&missing),
        given_up: forlorn.count(),
        given_up_ranges: told(&forlorn),
        missing,
        forlorn,
    }
}

impl Counts {
    fn plus(self, other: &Counts) -> Counts {
        // A hostile agent may claim any number.
        Counts {
            issued: self.issued.saturating_add(other.issued),
            stored: self.stored.saturating_add(other.stored),
            dropped: self.dropped.saturating_add(other.dropped),
            rejected: self.rejected.saturating_add(other.rejected),
            pending: self.pending.saturating_add(other.pending),
            missing: self.missing.saturating_add(other.missing),
        }
    }

    fn cells(&self) -> Vec<String> {
        let Counts { issued, stored, dropped, rejected, pending, missing } = self;
        [issued, stored, dropped, rejected, pending, missing].map(i64::to_string).to_vec()
    }
}

impl Proof {
    /// Returns whether every number is accounted for, and every row is in the ledger.
    pub fn holds(&self) -> bool {
        self.total.missing == 0 && self.duplicates == 0 && self.strays == 0
    }

    /// Returns one JSON object a line. The last one has the sums.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Total {
            total: bool,
            #[serde(flatten)]
            counts: Counts,
            given_up: i64,
            duplicates: i64,
            strays: i64,
        }
        let accounts = self.accounts.iter().map(|account| serde_json::json!(account).to_string());
        let Proof { total, given_up, duplicates, strays, .. } = *self;
        let total = Total { total: true, counts: total, given_up, duplicates, strays };
        let total = serde_json::json!(total).to_string();
        accounts.chain([total]).map(|line| line + "\n").collect()
    }
}

/// Writes a table for people, with what is missing below its epoch.
impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["epoch", "agent", "end", "issued", "stored", "dropped", "rejected", "pending", "missing"];
        let total = [["total", "", ""].map(str::to_owned).to_vec(), self.total.cells()].concat();
        let rows: Vec<Vec<String>> = self.accounts.iter().map(Account::cells).chain([total]).collect();
        let lines = terminal::columns(&heads, 3, &rows);
        for (number, line) in lines.iter().enumerate() {
            writeln!(f, "{line}")?;
            let account = number.checked_sub(1).and_then(|below_heads| self.accounts.get(below_heads));
            if let Some(account) = account.filter(|account| !account.missing.is_empty()) {
                writeln!(f, "  missing: {}", account.missing)?;
                if !account.forlorn.is_empty() {
                    let which = &account.forlorn;
                    writeln!(
                        f,
                        "  given up of these: {which} (the agent runs without the outbox that had them, or is retired)"
                    )?;
                }
            }
        }
        if self.duplicates > 0 {
            writeln!(f, "{} rows are there more than once", self.duplicates)?;
        }
        if self.strays > 0 {
            writeln!(f, "{} rows are there of which the ledger does not know", self.strays)?;
        }
        Ok(())
    }
}

impl Account {
    fn cells(&self) -> Vec<String> {
        let end = match (self.forked, self.closed) {
            (true, _) => "forked",
            (false, true) => "known",
            (false, false) => "open",
        };
        [vec![self.epoch.to_string(), self.agent.clone(), end.into()], self.counts.cells()].concat()
    }
}

#[cfg(test)]
mod tests;
