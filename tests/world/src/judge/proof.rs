//! The product's proof is right.

use uuid::Uuid;

use super::Case;
use crate::fault::FaultKind;
use crate::store::facts;
use crate::truth::{Number, Run, short};
use crate::verify::{Account, prove};

pub(super) fn holds(case: &mut Case<'_>) {
    let proof = prove(&facts(case.tables, case.world.common.rules()), 0);
    if proof.strays > 0 {
        case.finds(FaultKind::Stray, || format!("{} rows are of numbers that no ledger has", proof.strays));
    }
    if proof.duplicates > 0 {
        case.finds(FaultKind::Twice, || format!("{} rows", proof.duplicates));
    }
    for account in &proof.accounts {
        if account.counts.pending > 0 {
            let kind = if is_told(case, account) { FaultKind::Pending } else { FaultKind::PendingUntold };
            case.finds(kind, || format!("{} numbers of {}", account.counts.pending, short(account.epoch)));
        }
        for [first, last] in &account.missing_ranges {
            for seq in *first..=*last {
                let number = Number { epoch: account.epoch, seq: seq as u64 };
                if case.stored.contains(&number) {
                    case.finds(FaultKind::FalseAlarm, || format!("{number} has a row"));
                }
            }
        }
    }
    for agent in &case.world.agents {
        let Some(epoch) = agent.disk().epoch else { continue };
        let issued = epoch.next as i64 - 1;
        let told = proof.accounts.iter().find(|account| account.epoch == epoch.epoch).map(|it| it.counts);
        if told.is_none_or(|told| told.issued != issued) {
            case.finds(FaultKind::Issued, || format!("{issued} of {}, and not {told:?}", agent.name));
        }
    }
}

/// Answers whether a run tells that what is pending of an epoch no longer comes. The last runs after it that the tables
/// know of leave it open. A last run that still goes on tells it itself. A last run that ended for good has to be followed
/// by a run of the same name with which the chain begins again, and which was heard of later. A run of another name that
/// began with an older copy of the outbox may be another host: it says nothing of the run whose copy it is.
fn is_told(case: &Case<'_>, account: &Account) -> bool {
    let (tables, runs) = (case.tables, case.world.common.truth.runs());
    let name = |epoch: Uuid| case.world.common.truth.run(epoch).map(|run| run.name.as_str());
    let is_last = |run: &Run| {
        let reported = tables.epoch(run.epoch).and_then(|row| row.report_seq);
        !tables.epochs.iter().any(|later| {
            let follows = |(before, highest): (Uuid, i64)| before == run.epoch && reported <= Some(highest);
            let copies = |(before, _): (Uuid, i64)| before == run.epoch && name(later.epoch) == Some(&run.name);
            later.previous.is_some_and(|before| follows(before) || copies(before))
        })
    };
    let leaves_open =
        |run: &Run| is_last(run) && (run.epoch == account.epoch || tables.is_after(run.epoch, account.epoch, 0));
    let goes_on = |run: &Run| {
        case.world.agents.iter().filter_map(|agent| agent.disk().epoch).any(|running| running.epoch == run.epoch)
    };
    let is_known = |epoch: Uuid| tables.epoch(epoch).is_some_and(|row| row.report_seq.is_some());
    let begins = |run: &Run| is_known(run.epoch) && !run.previous.is_some_and(is_known);
    let heard = |run: &Run| tables.epoch(run.epoch).map_or((0, 0), |row| (row.first_heard, row.heard));
    let is_followed = |began: usize, run: &Run| {
        let mut later = runs[began + 1..].iter().filter(|later| later.name == run.name && begins(later));
        later.any(|later| heard(later).0 > heard(run).1)
    };
    let mut open = runs.iter().enumerate().filter(|(_, run)| leaves_open(run));
    open.all(|(began, run)| goes_on(run) || is_followed(began, run))
}
