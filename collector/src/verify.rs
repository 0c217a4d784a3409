//! The proof that nothing is missing, from the tables alone.
//!
//! Of each epoch: *issued* is the highest number that was seen or spoken of. Each number up to it is exactly one of
//! *stored* (it arrived, and where it is a result its row is there or past the retention), *rejected* (it arrived and
//! was set aside), *dropped* (declared, and it did not arrive all the same), *pending* or *missing*. The report of a
//! clean stop is the last number of its epoch, unless the next epoch says otherwise: one beyond it, which somebody made
//! up, speaks for itself alone.
//!
//! A number that did not arrive is pending when the agent's latest word leaves room for it: the latest report of the
//! newest epoch of its chain names the oldest record that waits in the outbox, and everything from there on, and
//! everything that was issued after that report, may still come. Where a chain forked, each end has its own outbox
//! and its own word. A result that arrived and whose row is gone is missing, whatever an agent says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::Serialize;
use settings::terminal;
use uuid::Uuid;

use crate::ranges::Ranges;
use crate::store::EpochFacts;

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
    /// Rows of which the ledger does not know.
    pub strays: i64,
    /// The numbers that are missing, first and last of each range.
    pub missing_ranges: Vec<[i64; 2]>,
    #[serde(skip)]
    missing: Ranges,
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
    /// Rows beyond one for each number.
    pub duplicates: i64,
    /// Rows of which the ledger does not know.
    pub strays: i64,
}

/// Draws up the accounts. `orphans` are rows of no epoch. Epochs that were not asked for only tell of
/// others: where those ended, and what waits.
pub fn prove(facts: &[EpochFacts], orphans: i64) -> Proof {
    let mut children: HashMap<Uuid, usize> = HashMap::new();
    facts.iter().filter_map(|fact| fact.previous).for_each(|previous| *children.entry(previous).or_default() += 1);
    let open = open_ends(facts, &children);
    let nothing = Ranges::new();
    let asked = || facts.iter().filter(|fact| !fact.is_aside);
    let accounts: Vec<Account> = asked()
        .map(|fact| {
            let successors = children.get(&fact.epoch).copied().unwrap_or(0);
            account(fact, successors, open.get(&fact.epoch).unwrap_or(&nothing))
        })
        .collect();
    let total = accounts.iter().fold(Counts::default(), |total, account| total.plus(&account.counts));
    let strays = accounts.iter().map(|account| account.strays).fold(orphans, i64::saturating_add);
    Proof { duplicates: accounts.iter().map(|account| account.duplicates).sum(), accounts, total, strays }
}

/// Of each epoch the numbers that may still come, arrived or not.
fn open_ends(facts: &[EpochFacts], children: &HashMap<Uuid, usize>) -> BTreeMap<Uuid, Ranges> {
    let by_epoch: HashMap<Uuid, &EpochFacts> = facts.iter().map(|fact| (fact.epoch, fact)).collect();
    let mut open: BTreeMap<Uuid, Ranges> = BTreeMap::new();
    let mut leave_open = |epoch: Uuid, from: i64| {
        let ranges = open.entry(epoch).or_default();
        *ranges = ranges.union(&Ranges::span(from, i64::MAX - 1));
    };
    for last in facts.iter().filter(|fact| !children.contains_key(&fact.epoch) && fact.has_report) {
        leave_open(last.epoch, last.claimed + 1);
        let Some((oldest, seq)) = last.oldest_pending else { continue };
        let mut walked = BTreeSet::new();
        let mut epoch = Some(last);
        while let Some(fact) = epoch.filter(|fact| walked.insert(fact.epoch)) {
            if fact.epoch == oldest {
                leave_open(fact.epoch, seq);
                break;
            }
            leave_open(fact.epoch, 1);
            epoch = fact.previous.and_then(|previous| by_epoch.get(&previous).copied());
        }
    }
    open
}

fn account(fact: &EpochFacts, successors: usize, open: &Ranges) -> Account {
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
    let unexplained = undeclared.minus(open);
    let missing = unexplained.union(&lost);
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
        previous: fact.previous,
        closed: fact.stopped_at.is_some() || successors > 0,
        forked: successors > 1,
        counts,
        duplicates: fact.duplicates,
        strays: fact.rows.minus(&fact.accounted).count(),
        missing_ranges: missing.parts().iter().map(|&(start, end)| [start, end - 1]).collect(),
        missing,
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
            duplicates: i64,
            strays: i64,
        }
        let accounts = self.accounts.iter().map(|account| serde_json::json!(account).to_string());
        let total = Total { total: true, counts: self.total, duplicates: self.duplicates, strays: self.strays };
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
