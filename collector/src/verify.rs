//! The proof that nothing is missing, from the tables alone.
//!
//! Of each epoch: *issued* is the highest number that was seen or spoken of. Each number up to it is exactly one of
//! *stored* (it arrived, and where it is a result its row is there or past the retention), *rejected* (it arrived and
//! was set aside), *dropped* (declared, and it did not arrive all the same), *pending* or *missing*. The report of a
//! clean stop is the last number of its epoch, unless the next epoch says otherwise: one beyond it, which somebody made
//! up, speaks for itself alone.
//!
//! A number that did not arrive is pending when the agent's latest word leaves room for it: the latest report of an end
//! of its chain names the oldest record that waits in the outbox, and everything from there on, and everything that was
//! issued after that report, may still come (`ends`). Where a chain forked, each end has its own outbox and its own word.
//! What waited in an outbox with which its agent no longer runs is given up, and so is what a retired agent held: it is
//! missing, until that outbox is heard of again. A result that arrived and whose row is gone is missing, whatever an
//! agent says.

mod ends;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use settings::terminal;
use uuid::Uuid;

use crate::ranges::Ranges;
use crate::store::EpochFacts;
use ends::Ends;

/// What became of the numbers of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The epoch.
    pub epoch: Uuid,
    /// The agent.
    pub agent: String,
    /// The epoch before.
    pub previous: Option<Uuid>,
    /// Whether its end is known: it stopped cleanly, or the next epoch said where it ended.
    pub closed: bool,
    /// Whether more than one epoch says that it came after this one.
    pub forked: bool,
    /// The counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// Rows beyond one for each number.
    pub duplicates: i64,
    /// Rows that the ledger does not have.
    pub strays: i64,
    /// The numbers that are missing, first and last of each range.
    pub missing_ranges: Vec<[i64; 2]>,
    /// How many of them are given up, with the outbox that held them.
    pub given_up: i64,
    /// Which.
    pub given_up_ranges: Vec<[i64; 2]>,
    #[serde(skip)]
    missing: Ranges,
    #[serde(skip)]
    forlorn: Ranges,
}

/// `issued = stored + dropped + rejected + pending + missing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Numbers given out.
    pub issued: i64,
    /// Arrived and kept.
    pub stored: i64,
    /// Declared dropped.
    pub dropped: i64,
    /// Arrived and set aside.
    pub rejected: i64,
    /// May still come.
    pub pending: i64,
    /// Nowhere.
    pub missing: i64,
}

/// The proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Each epoch.
    pub accounts: Vec<Account>,
    /// The sums.
    pub total: Counts,
    /// How many numbers of those that are missing are given up.
    pub given_up: i64,
    /// Rows beyond one for each number.
    pub duplicates: i64,
    /// Rows that the ledger does not have.
    pub strays: i64,
}

/// Draws up the accounts. `orphans` are rows of no epoch. Epochs that were not asked for only tell of
/// others: where those ended, and what waits.
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
    /// Whether every number is accounted for, and every row by the ledger.
    pub fn holds(&self) -> bool {
        self.total.missing == 0 && self.duplicates == 0 && self.strays == 0
    }

    /// One JSON object a line, the last one with the sums.
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

/// A table for people, with what is missing below its epoch.
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
