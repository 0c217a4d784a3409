//! The agent reports on itself at the beginning of each epoch, every minute, and at a clean stop.
//!
//! The collector proves from these reports that nothing is missing. `previous` links each epoch to the one before it,
//! `highest_seq` says how many numbers were given, and `oldest_pending` says up to where Kafka has acknowledged them.
//!
//! The collector knows what is due from the lists of monitors, which are sent at a start and at a reload. Every report names the
//! list that is in force, so the collector sees when a list did not arrive. The list is sent again after one minute, every ten
//! minutes, when Kafka takes records again, and when an outbox at its bound drops one.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use wire::{AgentEvent, AgentReport, Clock, Configuration, Content, List, MonitorDue, Pending, Previous};

use crate::config::Config;
use crate::outbox::{Opening, Status};

/// Most bytes of monitors' ids and tags in one report; a longer list goes into several.
const MONITOR_BYTES: usize = 32 * 1024;

/// Makes the reports of one agent.
#[derive(Debug)]
pub(crate) struct Reporter {
    agent: String,
    running: Mutex<Arc<Running>>,
    /// The list of monitors that was said last, at a start or a reload.
    said: Mutex<Option<Said>>,
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

/// A list of monitors as it was said.
#[derive(Clone, Debug)]
struct Said {
    event: AgentEvent,
    at: Timestamp,
    /// Since when it is due: a reload that changes no monitor says the same list again.
    since: Timestamp,
    running: Arc<Running>,
}

/// What a report is about.
struct Occasion<'a> {
    event: AgentEvent,
    at: Timestamp,
    running: &'a Running,
    monitors: &'a [MonitorDue],
    due_since: Option<Timestamp>,
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
            running: Mutex::new(Arc::new(Running::of(config))),
            said: Mutex::new(None),
            previous: Mutex::new(None),
        }
    }

    /// From now on this runs.
    pub(crate) fn runs(&self, config: &Config) {
        *self.running.lock() = Arc::new(Running::of(config));
    }

    /// The first record of an epoch.
    pub(crate) fn start(&self, opening: &Opening, clock: Clock) -> Vec<u8> {
        *self.previous.lock() = opening.previous;
        let status = Status { highest_seq: 0, ..opening.status.clone() };
        let said = self.say(AgentEvent::Start, None);
        self.payload(said.portions(None).next().expect("there is always one portion"), &status, BTreeMap::new(), clock)
    }

    /// The records that follow the first one when the monitors don't fit into it.
    pub(crate) fn start_continued(&self, status: &Status, clock: Clock) -> Vec<Vec<u8>> {
        let said = self.said.lock().clone();
        let rest = said.iter().flat_map(|said| said.portions(None).skip(1));
        rest.map(|portion| self.payload(portion, status, BTreeMap::new(), clock)).collect()
    }

    /// The records that say what runs after a reload; never none.
    pub(crate) fn reload(&self, status: &Status, missed: &BTreeMap<String, u64>, clock: Clock) -> Vec<Vec<u8>> {
        let before = self.said.lock().clone();
        let said = self.say(AgentEvent::Reload, before);
        said.portions(None).map(|portion| self.payload(portion, status, missed.clone(), clock)).collect()
    }

    /// The records that say once more which monitors are due, and since when: those that said it last may be lost. It is
    /// the same list: who has a part of it already loses or counts nothing by that.
    pub(crate) fn again(&self, status: &Status, missed: &BTreeMap<String, u64>, clock: Clock) -> Vec<Vec<u8>> {
        let said = self.said.lock().clone();
        let portions = said.iter().flat_map(|said| said.portions(Some(said.since)));
        portions.map(|portion| self.payload(portion, status, missed.clone(), clock)).collect()
    }

    /// A report of how things are.
    pub(crate) fn periodic(&self, status: &Status, missed: BTreeMap<String, u64>, clock: Clock) -> Vec<u8> {
        self.without_monitors(AgentEvent::Periodic, Timestamp::now(), status, missed, clock)
    }

    /// The last report of an epoch: nothing is due any more from `ended` on.
    pub(crate) fn stop(
        &self,
        ended: Timestamp,
        status: &Status,
        missed: BTreeMap<String, u64>,
        clock: Clock,
    ) -> Vec<u8> {
        self.without_monitors(AgentEvent::Stop, ended, status, missed, clock)
    }

    fn without_monitors(
        &self,
        event: AgentEvent,
        at: Timestamp,
        status: &Status,
        missed: BTreeMap<String, u64>,
        clock: Clock,
    ) -> Vec<u8> {
        let running = self.running.lock().clone();
        let occasion = Occasion { event, at, running: &running, monitors: &[], due_since: None };
        self.payload(occasion, status, missed, clock)
    }

    /// What runs is what is said from now on, after what was said before in this epoch.
    fn say(&self, event: AgentEvent, before: Option<Said>) -> Said {
        let (at, running) = (Timestamp::now(), self.running.lock().clone());
        let same = before.filter(|before| before.running.monitors == running.monitors);
        let said = Said { event, at, since: same.map_or(at, |before| before.since), running };
        *self.said.lock() = Some(said.clone());
        said
    }

    fn payload(&self, of: Occasion<'_>, status: &Status, missed: BTreeMap<String, u64>, clock: Clock) -> Vec<u8> {
        let report = AgentReport {
            event: of.event,
            at: of.at,
            version: env!("CARGO_PKG_VERSION").into(),
            previous: *self.previous.lock(),
            highest_seq: status.highest_seq,
            pending: status.pending,
            oldest_pending: status.oldest_pending.map(|oldest| Pending { epoch: oldest.epoch, seq: oldest.seq }),
            outbox_bytes: status.bytes,
            missed,
            clock,
            configuration: of.running.configuration.clone(),
            labels: of.running.labels.clone(),
            monitors: of.monitors.to_vec(),
            due_since: of.due_since,
            list: self.said.lock().as_ref().map(Said::in_short),
        };
        wire::payload(&self.agent, &Content::Agent(Box::new(report)))
    }
}

impl Said {
    fn in_short(&self) -> List {
        let Running { configuration, monitors, .. } = &*self.running;
        List { revision: configuration.revision.clone(), monitors: monitors.iter().map(Vec::len).sum::<usize>() as u64 }
    }

    /// Each of its portions; those of a list that is said again with since when it is due.
    fn portions(&self, due_since: Option<Timestamp>) -> impl Iterator<Item = Occasion<'_>> {
        let at = if due_since.is_some() { Timestamp::now() } else { self.at };
        let Said { event, running, .. } = self;
        running.monitors.iter().map(move |monitors| Occasion { event: *event, at, running, monitors, due_since })
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

    fn running(ids: &[&str], revision: &str) -> Arc<Running> {
        let configuration = Configuration { revision: revision.into(), faults: 0 };
        let monitors = in_portions(ids.iter().map(|id| due((*id).to_owned())));
        Arc::new(Running { labels: BTreeMap::new(), configuration, monitors })
    }

    /// Reports that say which monitors are due, and the ids in each.
    fn lists(payloads: &[Vec<u8>]) -> Vec<(AgentReport, Vec<String>)> {
        let list = |payload: &Vec<u8>| {
            assert!(wire::lists_monitors(payload));
            let message = wire::stamp(uuid::Uuid::new_v4(), 1, payload);
            let record = wire::Record::decode(Some(&message)).unwrap();
            let Content::Agent(report) = record.content else { panic!("no report") };
            let ids = report.monitors.iter().map(|monitor| monitor.id.clone()).collect();
            (*report, ids)
        };
        payloads.iter().map(list).collect()
    }

    #[test]
    fn a_list_is_said_again_as_it_was_said_whatever_runs_by_now_and_since_when_it_is_due() {
        let long = ["x", "y", "z"].map(|id| id.repeat(16_000));
        let reporter = Reporter {
            agent: "edge".into(),
            running: Mutex::new(running(&long.each_ref().map(String::as_str), "1")),
            said: Mutex::default(),
            previous: Mutex::default(),
        };
        let (status, missed, clock) = (Status::default(), BTreeMap::new(), Clock::default());
        let again = || lists(&reporter.again(&status, &missed, clock));
        assert_eq!(again(), [], "nothing was said");
        let first = reporter.start(&Opening { previous: None, status: Status::default() }, clock);
        let start = lists(&[vec![first], reporter.start_continued(&status, clock)].concat());
        assert_eq!(start.iter().map(|(_, ids)| ids.len()).collect::<Vec<_>>(), [2, 1]);
        let started_at = start[0].0.at;

        // It is read again, and that was not said yet.
        *reporter.running.lock() = running(&["c"], "2");
        let said = again();
        assert!(said.iter().all(|(report, _)| report.at >= started_at));
        let as_first = |(report, ids): (AgentReport, Vec<String>)| {
            assert_eq!(report.due_since, Some(started_at));
            (AgentReport { at: started_at, due_since: None, ..report }, ids)
        };
        assert_eq!(said.into_iter().map(as_first).collect::<Vec<_>>(), start);

        let (reload, ids) = lists(&reporter.reload(&status, &missed, clock)).remove(0);
        assert_eq!((reload.event, ids), (AgentEvent::Reload, vec!["c".to_owned()]));
        *reporter.running.lock() = running(&["c"], "3");
        reporter.reload(&status, &missed, clock);
        let said = again();
        let report = &said[0].0;
        assert_eq!((said.len(), report.event, &*report.configuration.revision), (1, AgentEvent::Reload, "3"));
        assert_eq!(report.due_since, Some(reload.at), "the same monitors");
        let in_short = |revision: &str, monitors| Some(List { revision: revision.into(), monitors });
        assert_eq!((&start[1].0.list, &report.list), (&in_short("1", 3), &in_short("3", 1)));
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
