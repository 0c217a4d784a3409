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
    pub(crate) previous: Option<(Uuid, i64)>,
    pub(crate) claimed: i64,
    pub(crate) accounted: Ranges,
    pub(crate) rejected: Ranges,
    pub(crate) notices: Ranges,
    pub(crate) dropped: Ranges,
    pub(crate) expired: Ranges,
    pub(crate) rows: Ranges,
    pub(crate) duplicates: i64,
    pub(crate) report_seq: Option<i64>,
    pub(crate) heard: (i64, i64),
    pub(crate) oldest_pending: Option<(Uuid, i64)>,
    pub(crate) stopped_at: Option<i64>,
    pub(crate) is_retired: bool,
    pub(crate) is_aside: bool,
}

/// Reads the facts of all epochs. Where nothing is known of when runs were heard of, no outbox is given up.
pub(crate) fn facts(tables: &Tables, rules: Rules) -> Vec<EpochFacts> {
    let heard = |epoch: &EpochRow| if rules.has(Rule::Wipe) { (epoch.first_heard, epoch.heard) } else { (0, 0) };
    let epochs = tables.epochs.iter().enumerate();
    epochs.map(|(id, epoch)| EpochFacts { heard: heard(epoch), ..fact(tables, id, epoch) }).collect()
}

fn fact(tables: &Tables, id: usize, epoch: &EpochRow) -> EpochFacts {
    let of_epoch: Vec<i64> = tables.results.iter().filter(|row| row.epoch_id == id).map(|row| row.seq).collect();
    let rows = Ranges::from_parts(of_epoch.iter().map(|seq| (*seq, seq + 1)).collect());
    EpochFacts {
        epoch: epoch.epoch,
        agent: tables.agent_of(epoch).unwrap_or_default().to_owned(),
        previous: epoch.previous,
        claimed: epoch.claimed,
        accounted: epoch.accounted.clone(),
        rejected: epoch.rejected.clone(),
        notices: epoch.notices.clone(),
        dropped: epoch.dropped.clone(),
        expired: Ranges::new(),
        duplicates: of_epoch.len() as i64 - rows.count(),
        rows,
        report_seq: epoch.report_seq,
        oldest_pending: epoch.oldest_pending,
        stopped_at: if epoch.is_stopped { epoch.report_seq } else { None },
        ..EpochFacts::default()
    }
}
