//! Each message in the log is in the ledger, and each record that is nowhere was lost for a reason.

use super::Case;
use crate::fault::FaultKind;

pub(super) fn has_all(case: &mut Case<'_>) {
    for (partition, log) in case.world.kafka.partitions.iter().enumerate() {
        for (offset, message) in log.messages() {
            if !case.accounts(message.number) {
                let number = message.number;
                case.finds(FaultKind::Skipped, || format!("partition {partition} has {number} at offset {offset}"));
            }
        }
    }
    let truth = &case.world.common.truth;
    for (number, monitor) in truth.records() {
        let is_there = if monitor.is_some() { case.stored.contains(&number) } else { case.accounts(number) };
        let is_declared = || case.tables.epoch(number.epoch).is_some_and(|row| row.dropped.contains(number.seq as i64));
        if !is_there && !is_declared() && !truth.explains(number) {
            case.finds(FaultKind::Lost, || number.to_string());
        }
    }
}
