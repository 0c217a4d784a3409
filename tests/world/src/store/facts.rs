//! The proof asks what the tables say about each epoch. The product's file `proof.rs` reads that in SQL.

use uuid::Uuid;

use super::tables::{EpochRow, Tables};
use crate::ranges::Ranges;
use crate::rules::{Rule, Rules};

/// This is what the product's proof asks of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EpochFacts {
    pub(crate) epoch: Uuid,
    pub(crate) agent: String,
    pub(crate) previous: Option<Uuid>,
    pub(crate) claimed: i64,
    pub(crate) accounted: Ranges,
    pub(crate) rejected: Ranges,
    pub(crate) notices: Ranges,
    pub(crate) dropped: Ranges,
    pub(crate) expired: Ranges,
    pub(crate) rows: Ranges,
    pub(crate) duplicates: i64,
    pub(crate) has_report: bool,
    pub(crate) oldest_pending: Option<(Uuid, i64)>,
    pub(crate) stopped_at: Option<i64>,
    pub(crate) is_aside: bool,
}

/// Reads the facts of all epochs, oldest first.
pub(crate) fn facts(tables: &Tables, rules: Rules) -> Vec<EpochFacts> {
    let mut facts: Vec<EpochFacts> =
        tables.epochs.iter().enumerate().map(|(id, epoch)| fact(tables, id, epoch)).collect();
    if rules.has(Rule::Wipe) {
        silence_ended(&mut facts);
    }
    facts
}

fn fact(tables: &Tables, id: usize, epoch: &EpochRow) -> EpochFacts {
    let of_epoch: Vec<i64> = tables.results.iter().filter(|row| row.epoch_id == id).map(|row| row.seq).collect();
    let rows = Ranges::from_parts(of_epoch.iter().map(|seq| (*seq, seq + 1)).collect());
    EpochFacts {
        epoch: epoch.epoch,
        agent: tables.agent_of(epoch).unwrap_or_default().to_owned(),
        previous: epoch.previous.map(|(previous, _)| previous),
        claimed: epoch.claimed,
        accounted: epoch.accounted.clone(),
        rejected: epoch.rejected.clone(),
        notices: epoch.notices.clone(),
        dropped: epoch.dropped.clone(),
        expired: Ranges::new(),
        duplicates: of_epoch.len() as i64 - rows.count(),
        rows,
        has_report: epoch.report_seq.is_some(),
        oldest_pending: epoch.oldest_pending,
        stopped_at: if epoch.is_stopped { epoch.report_seq } else { None },
        is_aside: false,
    }
}

/// The chain of an agent begins again with a run that came after none, or after one of which nothing is known. What its
/// earlier runs left waiting no longer comes.
fn silence_ended(facts: &mut [EpochFacts]) {
    let is_known = |epoch: Uuid| facts.iter().any(|fact| fact.epoch == epoch && fact.has_report);
    let begins = |fact: &EpochFacts| fact.has_report && !fact.previous.is_some_and(is_known);
    let begins: Vec<bool> = facts.iter().map(begins).collect();
    for early in 0..facts.len() {
        let is_over = (early + 1..facts.len()).any(|late| begins[late] && facts[late].agent == facts[early].agent);
        facts[early].has_report &= !is_over;
    }
}
