//! Each row is of one check and of the monitor that was checked, and each epoch is a run of its agent.

use std::collections::BTreeSet;

use super::Case;
use crate::fault::FaultKind;
use crate::truth::{Number, short};

pub(super) fn are_once_and_true(case: &mut Case<'_>) {
    let mut seen = BTreeSet::new();
    for row in &case.tables.results {
        let Some(epoch) = case.tables.epochs.get(row.epoch_id) else {
            case.finds(FaultKind::Stray, || format!("a row is of epoch {}, which is not there", row.epoch_id));
            continue;
        };
        let number = Number { epoch: epoch.epoch, seq: row.seq as u64 };
        if !seen.insert(number) {
            case.finds(FaultKind::Twice, || number.to_string());
        }
        let told = case.tables.monitors.get(row.monitor_id).map(|monitor| (monitor.id.clone(), monitor.url.clone()));
        let checked = case.world.common.truth.monitor(number).map(|monitor| (monitor.id(), monitor.url()));
        if told != checked {
            case.finds(FaultKind::OtherMonitor, || format!("{number} is of {checked:?}, and its row of {told:?}"));
        }
    }
    for epoch in &case.tables.epochs {
        let told = case.tables.agent_of(epoch);
        let run = case.world.common.truth.run(epoch.epoch);
        if let (Some(told), Some(run)) = (told, run)
            && told != run.name
        {
            case.finds(FaultKind::OtherAgent, || {
                format!("{} is a run of {}, not of {told}", short(run.epoch), run.name)
            });
        }
    }
}
