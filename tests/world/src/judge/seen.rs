//! People see of an agent what it said last.

use super::Case;
use crate::agent::Agent;
use crate::fault::FaultKind;
use crate::store::tables::EpochRow;
use crate::truth::{Number, short};

/// No report of an agent hides another one that the tables know to be later.
pub(super) fn no_earlier_report(case: &mut Case<'_>) {
    let tables = case.tables;
    for (id, agent) in tables.agents.iter().enumerate() {
        let Some(report) = agent.report else { continue };
        let Some(shown) = tables.epochs.get(report.epoch_id) else { continue };
        let is_later = |row: &&EpochRow| {
            row.agent_id == Some(id) && row.report_seq.is_some() && tables.is_after(row.epoch, shown.epoch, report.seq)
        };
        if let Some(later) = tables.epochs.iter().find(is_later) {
            let name = &agent.name;
            let [early, late] = [shown.epoch, later.epoch].map(short);
            case.finds(FaultKind::OldReport, || format!("{name}: a report of {early} hides one of {late}"));
        }
        if shown.report_seq != Some(report.seq) {
            let (name, number) = (&agent.name, Number { epoch: shown.epoch, seq: report.seq as u64 });
            case.finds(FaultKind::OldReport, || format!("{name}: {number} hides {:?}", shown.report_seq));
        }
    }
}

/// The tables have the latest report of each agent.
pub(super) fn latest_report(case: &mut Case<'_>) {
    for (agent, last, told) in reports(case) {
        if told != Some(last) {
            case.finds(FaultKind::OldReport, || format!("{}: {told:?} is there in place of {last}", agent.name));
        }
    }
}

/// The tables list the monitors that each agent checks.
pub(super) fn monitors(case: &mut Case<'_>) {
    for agent in &case.world.agents {
        let Some(epoch) = agent.disk().epoch else { continue };
        let is_of_run = |epoch_id: usize| case.tables.epochs.get(epoch_id).is_some_and(|row| row.epoch == epoch.epoch);
        let lists = case.tables.schedules.iter().filter(|row| is_of_run(row.epoch_id));
        let told = lists.max_by_key(|row| row.seq).map(|row| row.monitors.clone());
        let checked: Vec<String> = agent.monitors.iter().map(|monitor| monitor.id()).collect();
        if told.as_ref() != Some(&checked) {
            case.finds(FaultKind::Invisible, || format!("{} checks {checked:?}, and not {told:?}", agent.name));
        }
    }
}

/// Lists each agent whose name no other one has, its last report, and the one that the tables have.
fn reports<'a>(case: &Case<'a>) -> Vec<(&'a Agent, Number, Option<Number>)> {
    let agents = &case.world.agents;
    let is_alone = |agent: &&Agent| agents.iter().filter(|other| other.name == agent.name).count() == 1;
    let report = |agent: &'a Agent| {
        let row = case.tables.agents.iter().find(|row| row.name == agent.name);
        let told = row.and_then(|row| row.report).and_then(|report| {
            let epoch = case.tables.epochs.get(report.epoch_id)?.epoch;
            Some(Number { epoch, seq: report.seq as u64 })
        });
        agent.last_report.map(|last| (agent, last, told))
    };
    agents.iter().filter(is_alone).filter_map(report).collect()
}
