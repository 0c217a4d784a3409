//! The tables have what the world asks for. An id is a row's place. So the ids of what was new since a backup are given to
//! other rows when the backup comes back, as PostgreSQL's sequences do it.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::positions::Position;
use crate::ranges::Ranges;

/// A backup has all of this.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub(crate) agents: Vec<AgentRow>,
    pub(crate) epochs: Vec<EpochRow>,
    pub(crate) monitors: Vec<MonitorRow>,
    pub(crate) results: Vec<ResultRow>,
    pub(crate) schedules: Vec<ScheduleRow>,
    /// These many reports were stored.
    pub(crate) heard: i64,
    /// Positions are known by topic and partition.
    pub(crate) positions: BTreeMap<(u64, i32), Position>,
}

/// This is an agent, with what the world asks of its latest report.
#[derive(Clone, Default)]
pub(crate) struct AgentRow {
    pub(crate) name: String,
    pub(crate) report: Option<LastReport>,
}

#[derive(Clone, Copy)]
pub(crate) struct LastReport {
    pub(crate) epoch_id: usize,
    pub(crate) seq: i64,
    /// The report is of this time.
    pub(crate) at: i64,
}

/// This is an epoch with its ledger.
#[derive(Clone, Default)]
pub(crate) struct EpochRow {
    pub(crate) epoch: Uuid,
    pub(crate) agent_id: Option<usize>,
    pub(crate) accounted: Ranges,
    pub(crate) rejected: Ranges,
    pub(crate) notices: Ranges,
    pub(crate) dropped: Ranges,
    pub(crate) claimed: i64,
    pub(crate) report_seq: Option<i64>,
    pub(crate) oldest_pending: Option<(Uuid, i64)>,
    /// This is the run before, with the highest number of it that this one knew of.
    pub(crate) previous: Option<(Uuid, i64)>,
    pub(crate) is_stopped: bool,
    /// These many reports were stored when its first one was.
    pub(crate) first_heard: i64,
    /// These many reports were stored when its latest one was.
    pub(crate) heard: i64,
}

/// This is a definition of a monitor.
#[derive(Clone)]
pub(crate) struct MonitorRow {
    pub(crate) definition: Vec<u8>,
    pub(crate) id: String,
    pub(crate) url: String,
}

/// This is a result. The table also takes one that is there already, so that it is seen.
#[derive(Clone, Copy)]
pub(crate) struct ResultRow {
    pub(crate) epoch_id: usize,
    pub(crate) seq: i64,
    pub(crate) monitor_id: usize,
}

/// This is a list of monitors.
#[derive(Clone)]
pub(crate) struct ScheduleRow {
    pub(crate) epoch_id: usize,
    pub(crate) seq: i64,
    pub(crate) monitors: Vec<String>,
}

/// Reads an id of the product's files.
pub(super) fn row(id: i32) -> usize {
    id as usize
}

/// Writes an id for the product's files.
pub(super) fn id(row: usize) -> i32 {
    row as i32
}

/// Finds the place of a row, and makes the row where there is none.
pub(super) fn place<R>(rows: &mut Vec<R>, is_it: impl Fn(&R) -> bool, make: impl FnOnce() -> R) -> usize {
    rows.iter().position(is_it).unwrap_or_else(|| {
        rows.push(make());
        rows.len() - 1
    })
}

impl Tables {
    /// Finds the id of an agent, and makes its row where there is none.
    pub(super) fn agent_id(&mut self, name: &str) -> usize {
        place(&mut self.agents, |row| row.name == name, || AgentRow { name: name.to_owned(), report: None })
    }

    /// Finds the row of an epoch.
    pub(crate) fn epoch(&self, epoch: Uuid) -> Option<&EpochRow> {
        self.epochs.iter().find(|row| row.epoch == epoch)
    }

    /// Finds the name of the agent that an epoch is a run of.
    pub(crate) fn agent_of(&self, row: &EpochRow) -> Option<&str> {
        row.agent_id.map(|id| self.agents[id].name.as_str())
    }

    /// Answers whether an epoch came after a number of another one, by what reports say. An epoch whose successor does not
    /// know all its numbers went on beside that successor, because its disk was copied.
    pub(crate) fn is_after(&self, later: Uuid, earlier: Uuid, seq: i64) -> bool {
        let mut before = self.epoch(later).and_then(|row| row.previous);
        // Each step goes one run back.
        for _ in 0..self.epochs.len() {
            match before {
                None => return false,
                Some((epoch, highest)) if epoch == earlier => return seq <= highest,
                Some((epoch, _)) => before = self.epoch(epoch).and_then(|row| row.previous),
            }
        }
        false
    }
}
