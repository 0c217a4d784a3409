//! What the agent says of itself: at each begin of an epoch, every minute, and at a clean stop.
//!
//! The collector proves from these reports that nothing is missing: `previous` chains the epochs, `highest_seq` says
//! how many numbers were issued, `oldest_pending` up to where Kafka has acknowledged them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use wire::{AgentEvent, AgentReport, Clock, Configuration, Content, MonitorDue, Pending, Previous};

use crate::config::Config;
use crate::outbox::{Opening, Status};

/// Most bytes of monitors' ids and tags in one report; a longer list goes into several.
const MONITOR_BYTES: usize = 32 * 1024;

/// Makes the reports of one agent.
#[derive(Debug)]
pub(crate) struct Reporter {
    agent: String,
    running: RwLock<Running>,
    /// Of the running epoch. Every report repeats it, so that the chain holds even when the first one was dropped.
    previous: Mutex<Option<Previous>>,
}

/// What runs.
#[derive(Debug)]
struct Running {
    labels: BTreeMap<String, String>,
    configuration: Configuration,
    monitors: Vec<Vec<MonitorDue>>,
}

impl Running {
    fn of(config: &Config) -> Running {
        let due = config.monitors.iter().map(|monitor| MonitorDue {
            id: monitor.id.clone(),
            interval_ms: u64::try_from(monitor.interval.as_millis()).unwrap_or(u64::MAX),
            tags: monitor.tags.clone(),
        });
        Running {
            labels: config.agent.labels.clone(),
            configuration: Configuration { revision: config.revision.clone(), faults: config.faults.len() as u64 },
            monitors: in_portions(due),
        }
    }
}

impl Reporter {
    /// A reporter of what `config` runs.
    pub(crate) fn new(config: &Config) -> Reporter {
        Reporter {
            agent: config.agent.name.clone(),
            running: RwLock::new(Running::of(config)),
            previous: Mutex::new(None),
        }
    }

    /// From now on this runs.
    pub(crate) fn runs(&self, config: &Config) {
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Running::of(config);
    }

    /// The first record of an epoch.
    pub(crate) fn start(&self, opening: &Opening, clock: Clock) -> Vec<u8> {
        *self.previous.lock().unwrap_or_else(PoisonError::into_inner) = opening.previous;
        let status = Status { highest_seq: 0, ..opening.status.clone() };
        let monitors = self.portions().into_iter().next().unwrap_or_default();
        self.payload(AgentEvent::Start, &status, BTreeMap::new(), clock, monitors)
    }

    /// The records that follow the first one when the monitors don't fit into it.
    pub(crate) fn start_continued(&self, status: &Status, clock: Clock) -> Vec<Vec<u8>> {
        let rest = self.portions().into_iter().skip(1);
        rest.map(|monitors| self.payload(AgentEvent::Start, status, BTreeMap::new(), clock, monitors)).collect()
    }

    /// The records that say what runs after a reload; never none.
    pub(crate) fn reload(&self, status: &Status, missed: &BTreeMap<String, u64>, clock: Clock) -> Vec<Vec<u8>> {
        let portions = self.portions().into_iter();
        portions.map(|monitors| self.payload(AgentEvent::Reload, status, missed.clone(), clock, monitors)).collect()
    }

    /// A report without the monitors.
    pub(crate) fn report(
        &self,
        event: AgentEvent,
        status: &Status,
        missed: BTreeMap<String, u64>,
        clock: Clock,
    ) -> Vec<u8> {
        self.payload(event, status, missed, clock, Vec::new())
    }

    fn running(&self) -> RwLockReadGuard<'_, Running> {
        self.running.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn portions(&self) -> Vec<Vec<MonitorDue>> {
        self.running().monitors.clone()
    }

    fn payload(
        &self,
        event: AgentEvent,
        status: &Status,
        missed: BTreeMap<String, u64>,
        clock: Clock,
        monitors: Vec<MonitorDue>,
    ) -> Vec<u8> {
        let report = AgentReport {
            event,
            at: Timestamp::now(),
            version: env!("CARGO_PKG_VERSION").into(),
            previous: *self.previous.lock().unwrap_or_else(PoisonError::into_inner),
            highest_seq: status.highest_seq,
            pending: status.pending,
            oldest_pending: status.oldest_pending.map(|oldest| Pending { epoch: oldest.epoch, seq: oldest.seq }),
            outbox_bytes: status.bytes,
            missed,
            clock,
            configuration: self.running().configuration.clone(),
            labels: self.running().labels.clone(),
            monitors,
        };
        wire::payload(&self.agent, &Content::Agent(Box::new(report)))
    }
}

fn in_portions(monitors: impl Iterator<Item = MonitorDue>) -> Vec<Vec<MonitorDue>> {
    let mut portions: Vec<Vec<MonitorDue>> = vec![Vec::new()];
    let mut bytes = 0;
    for monitor in monitors {
        let full = portions.last().is_some_and(|last| last.len() >= wire::limits::MONITORS);
        let tags = monitor.tags.iter().map(|(name, value)| name.len() + value.len());
        let more = monitor.id.len() + tags.sum::<usize>();
        if full || bytes + more > MONITOR_BYTES {
            portions.push(Vec::new());
            bytes = 0;
        }
        bytes += more;
        portions.last_mut().expect("there is always one portion").push(monitor);
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(id: String) -> MonitorDue {
        MonitorDue { id, interval_ms: 1_000, tags: BTreeMap::new() }
    }

    #[test]
    fn a_long_list_of_monitors_goes_into_several_reports_and_keeps_its_order() {
        let many: Vec<_> = (0..2_500).map(|n| due(n.to_string())).collect();
        let portions = in_portions(many.iter().cloned());
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert_eq!(portions.concat(), many);
    }

    #[test]
    fn long_ids_make_smaller_portions() {
        let portions = in_portions((0..5).map(|_| due("x".repeat(16_000))));
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    }
}
