//! The reports of a batch change their epochs and their agents, as the product's files `transaction.rs` and `agents.rs`
//! have it in SQL.
//!
//! The topic of the world keeps the broker's time and not the sender's, as a topic may. So no message tells when it was
//! sent, and a report that counts by time counts by the time that it bears.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::batch_plan::{BatchPlan, number};
use super::tables::{EpochRow, LastReport, Tables, row};
use crate::batch::Entry;
use crate::common::{Common, time};
use crate::cover::Rare;
use crate::rules::Rule;

/// This is the latest report of an epoch in a batch.
pub(super) struct ReportRow {
    epoch_id: usize,
    seq: i64,
    agent: String,
    at: i64,
    oldest_pending: Option<(Uuid, i64)>,
    previous: Option<(Uuid, i64)>,
    is_stop: bool,
    /// The first report of the epoch has this place among the reports of the batch.
    first_place: i64,
    /// It has this place itself.
    place: i64,
}

/// Makes the reports of a plan, in the order of their epochs' ids.
pub(super) fn rows(plan: &BatchPlan<'_>, entries: &[Entry<'_>]) -> Vec<ReportRow> {
    let make = |(epoch_id, report): (&i32, &super::batch_plan::Report<'_>)| {
        let epoch = plan.deltas[epoch_id].epoch;
        let mut records = entries.iter().filter_map(|entry| entry.decoded().as_ref().ok());
        let record = records.find(|record| record.epoch == epoch && number(record.seq) == report.seq);
        ReportRow {
            epoch_id: row(*epoch_id),
            seq: report.seq,
            agent: record.map(|record| record.agent.to_string()).unwrap_or_default(),
            at: time(report.report.at),
            oldest_pending: report.report.oldest_pending.map(|oldest| (oldest.epoch, number(oldest.seq))),
            previous: report.report.previous.map(|previous| (previous.epoch, number(previous.highest_seq))),
            is_stop: report.is_stop(),
            first_place: plan.first_places[epoch_id],
            place: report.place,
        }
    };
    plan.reports.iter().map(make).collect()
}

/// Stores them in the order in which they came.
pub(super) fn report(tables: &mut Tables, reports: &[ReportRow], common: &mut Common) {
    let mut arrived: Vec<&ReportRow> = reports.iter().collect();
    arrived.sort_unstable_by_key(|report| report.place);
    let before = tables.heard;
    for report in arrived {
        keep(tables, report, before);
        if common.has(Rule::Clock) {
            by_chain(tables, report, common);
        }
    }
    if !common.has(Rule::Clock) {
        by_clock(tables, reports, common.now);
    }
}

/// An epoch keeps its latest report.
fn keep(tables: &mut Tables, report: &ReportRow, before: i64) {
    if let Some(epoch) = tables.epochs.get_mut(report.epoch_id)
        && epoch.report_seq.is_none_or(|before| before < report.seq)
    {
        epoch.report_seq = Some(report.seq);
        epoch.oldest_pending = report.oldest_pending;
        epoch.previous = report.previous.or(epoch.previous);
        epoch.is_stopped = report.is_stop;
        if epoch.first_heard == 0 {
            epoch.first_heard = before + report.first_place;
        }
        epoch.heard = before + report.place;
        tables.heard = tables.heard.max(epoch.heard);
    }
}

/// The last run of an agent is the one after which none of its runs came. It is the one that was heard of last where there
/// are several.
fn by_chain(tables: &mut Tables, report: &ReportRow, common: &mut Common) {
    let Some(agent) = tables.agents.iter().position(|row| row.name == report.agent) else { return };
    let of_agent = || tables.epochs.iter().enumerate().filter(|(_, row)| row.agent_id == Some(agent));
    let is_last = |(_, row): &(usize, &EpochRow)| {
        let follows = |later: &EpochRow| {
            later.previous.is_some_and(|(epoch, highest)| epoch == row.epoch && row.report_seq <= Some(highest))
        };
        row.report_seq.is_some() && !of_agent().any(|(_, later)| follows(later))
    };
    let Some((epoch_id, last)) = of_agent().filter(is_last).max_by_key(|(_, row)| row.heard) else { return };
    if epoch_id != report.epoch_id {
        common.meets(Rare::LateReport);
    }
    let seq = last.report_seq.unwrap_or_default();
    tables.agents[agent].report = Some(LastReport { epoch_id, seq, at: report.at.min(common.now) });
}

/// The last run of an agent is the one with the highest id. Its report counts unless the one before is of a later time.
fn by_clock(tables: &mut Tables, reports: &[ReportRow], now: i64) {
    let latest: BTreeMap<&str, &ReportRow> = reports.iter().map(|report| (report.agent.as_str(), report)).collect();
    for (name, report) in latest {
        if let Some(agent) = tables.agents.iter_mut().find(|row| row.name == name)
            && agent.report.is_none_or(|last| last.at <= report.at.min(now) || last.at > now)
        {
            // No report is of later than now, whatever its agent's clock says.
            let at = report.at.min(now);
            agent.report = Some(LastReport { epoch_id: report.epoch_id, seq: report.seq, at });
        }
    }
}
