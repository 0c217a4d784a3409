//! A batch is written in one transaction, as the product's file of this name has it in SQL.

use super::agents::{self, ReportRow};
use super::batch_plan::BatchPlan;
use super::ledger_cache::LedgerDelta;
use super::tables::{ResultRow, ScheduleRow, Tables, row};
use crate::batch::Entry;
use crate::common::Common;
use crate::ranges::Ranges;

/// This is a plan that borrows nothing, so that time can pass while it is written.
pub(super) struct Transaction {
    deltas: Vec<(usize, LedgerDelta)>,
    dropped: Vec<(usize, Ranges)>,
    claims: Vec<(usize, i64)>,
    reports: Vec<ReportRow>,
    schedules: Vec<ScheduleRow>,
    results: Vec<ResultRow>,
    locks: Vec<usize>,
}

impl Transaction {
    /// Takes what a plan of these entries writes.
    pub(super) fn of(plan: &BatchPlan<'_>, entries: &[Entry<'_>], monitor_ids: &[usize]) -> Transaction {
        let results = plan.results.iter().zip(monitor_ids).map(|(new_result, monitor_id)| ResultRow {
            epoch_id: row(new_result.epoch_id),
            seq: new_result.seq,
            monitor_id: *monitor_id,
        });
        let schedules = plan.schedules.iter().map(|(epoch_id, report)| ScheduleRow {
            epoch_id: row(*epoch_id),
            seq: report.seq,
            monitors: report.report.monitors.iter().map(|monitor| monitor.id.clone()).collect(),
        });
        Transaction {
            deltas: plan.deltas.iter().map(|(id, delta)| (row(*id), delta.clone())).collect(),
            dropped: plan.dropped.iter().map(|(id, numbers)| (row(*id), numbers.clone())).collect(),
            claims: plan.claims.iter().map(|(id, highest)| (row(*id), *highest)).collect(),
            reports: agents::rows(plan, entries),
            schedules: schedules.collect(),
            results: results.collect(),
            locks: plan.epochs.keys().copied().map(row).collect(),
        }
    }

    /// Lists the epochs that it locks, in order.
    pub(super) fn locks(&self) -> &[usize] {
        &self.locks
    }

    pub(super) fn deltas(&self) -> impl Iterator<Item = &LedgerDelta> {
        self.deltas.iter().map(|(_, delta)| delta)
    }

    /// Answers whether an epoch is not there, or has one of the new numbers already.
    pub(super) fn is_stale(&self, tables: &Tables) -> bool {
        let takes = |(id, delta): &(usize, LedgerDelta)| {
            tables.epochs.get(*id).is_some_and(|epoch| epoch.accounted.common(&delta.accounted).is_empty())
        };
        !self.deltas.iter().all(takes)
    }

    /// Writes it. An update of a row that is not there changes nothing.
    pub(super) fn write(&self, tables: &mut Tables, common: &mut Common) {
        for (id, delta) in &self.deltas {
            if let Some(epoch) = tables.epochs.get_mut(*id) {
                epoch.accounted = epoch.accounted.union(&delta.accounted);
                epoch.rejected = epoch.rejected.union(&delta.rejected);
                epoch.notices = epoch.notices.union(&delta.notices);
            }
        }
        for (id, numbers) in &self.dropped {
            if let Some(epoch) = tables.epochs.get_mut(*id) {
                epoch.dropped = epoch.dropped.union(numbers);
            }
        }
        for (id, highest) in &self.claims {
            if let Some(epoch) = tables.epochs.get_mut(*id) {
                epoch.claimed = epoch.claimed.max(*highest);
            }
        }
        agents::report(tables, &self.reports, common);
        for schedule in &self.schedules {
            let is_it = |row: &ScheduleRow| (row.epoch_id, row.seq) == (schedule.epoch_id, schedule.seq);
            if !tables.schedules.iter().any(is_it) {
                tables.schedules.push(schedule.clone());
            }
        }
        tables.results.extend(&self.results);
    }
}
