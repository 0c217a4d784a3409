//! A running agent says what it checked, how it is, and what it had to drop. All of it goes to the disk first.

use std::collections::BTreeMap;

use uuid::Uuid;
use wire::{AgentEvent, AgentReport, Clock, Configuration, Content, DropReason, Dropped, List, Range};

use super::Agent;
use crate::common::{Common, timestamp};
use crate::cover::Rare;
use crate::disk::Entry;
use crate::monitor::Monitor;
use crate::ranges::Ranges;
use crate::rules::Rule;
use crate::truth::Number;

/// An outbox with fewer records is not at its bound.
const BOUND: u64 = 4;

impl Agent {
    /// Checks a monitor.
    pub(crate) fn check(&mut self, which: usize, common: &mut Common) -> bool {
        let monitor = self.monitors[which % self.monitors.len()];
        let result = monitor.result(timestamp(self.clock(common)));
        self.is_running() && self.append(&Content::Result(Box::new(result)), Some(monitor), common).is_some()
    }

    /// Reports how it is.
    pub(crate) fn report(&mut self, common: &mut Common) -> bool {
        match common.has(Rule::List) {
            true => self.say_again(common),
            false => self.say(AgentEvent::Periodic, None, common),
        }
    }

    pub(super) fn say_start(&mut self, common: &mut Common) {
        self.say(AgentEvent::Start, None, common);
    }

    pub(super) fn say_reload(&mut self, common: &mut Common) {
        self.say(AgentEvent::Reload, None, common);
    }

    pub(super) fn say_stop(&mut self, common: &mut Common) {
        self.say(AgentEvent::Stop, None, common);
    }

    /// Says once more which monitors are due, and since when.
    fn say_again(&mut self, common: &mut Common) -> bool {
        let since = self.running.as_ref().map(|running| running.due_since);
        self.say(AgentEvent::Reload, since, common)
    }

    /// Drops the older half of what waits, and declares it, with all that it had declared itself.
    pub(crate) fn drop_oldest(&mut self, common: &mut Common) -> bool {
        if !self.is_running() || self.disk.pending() < BOUND {
            return false;
        }
        let dropped = self.disk.drop_oldest();
        if let Some(running) = &mut self.running {
            running.publisher.skip(&self.disk);
        }
        let ranges = declared(&dropped);
        let declaration = Dropped {
            ranges: ranges.clone(),
            reason: DropReason::OutboxFull,
            dropped_at: timestamp(self.clock(common)),
        };
        if let Some(declaration) = self.append(&Content::Dropped(declaration), None, common) {
            let numbers = |range: Range| (range.first..=range.last).map(move |seq| Number { epoch: range.epoch, seq });
            ranges.into_iter().flat_map(numbers).for_each(|number| common.truth.drops(number, declaration));
        }
        let running = self.disk.epoch.map(|epoch| epoch.epoch);
        let is_list = |entry: &Entry| Some(entry.number.epoch) == running && wire::lists_monitors(&entry.payload);
        if dropped.iter().any(is_list) {
            self.say_again(common);
            common.meets(Rare::ListSaidAgain);
        }
        true
    }

    /// Makes a report, with the list of monitors where that belongs to it, and keeps it.
    fn say(&mut self, event: AgentEvent, due_since: Option<i64>, common: &mut Common) -> bool {
        let (Some(running), Some(epoch)) = (&self.running, self.disk.epoch) else { return false };
        let monitors = if event.lists_monitors() { &self.monitors[..] } else { &[] };
        let report = AgentReport {
            event,
            at: timestamp(self.clock(common)),
            version: "1".into(),
            previous: running.previous,
            highest_seq: epoch.next - 1,
            pending: self.disk.pending(),
            oldest_pending: self.disk.oldest_pending(),
            outbox_bytes: 0,
            missed: BTreeMap::new(),
            clock: Clock::default(),
            configuration: Configuration { revision: self.reloads.to_string(), faults: 0 },
            labels: BTreeMap::new(),
            monitors: monitors.iter().map(|monitor| monitor.due()).collect(),
            due_since: due_since.map(timestamp),
            list: Some(List { revision: self.reloads.to_string(), monitors: self.monitors.len() as u64 }),
        };
        self.last_report = self.append(&Content::Agent(Box::new(report)), None, common);
        true
    }

    fn append(&mut self, content: &Content, monitor: Option<Monitor>, common: &mut Common) -> Option<Number> {
        self.disk.epoch?;
        let number = self.disk.append(&self.name, content);
        common.truth.issues(number, monitor);
        Some(number)
    }
}

/// Collects the numbers of these records, and those that these records had declared.
fn declared(dropped: &[Entry]) -> Vec<Range> {
    let mut numbers: BTreeMap<Uuid, Ranges> = BTreeMap::new();
    for Entry { number, payload, .. } in dropped {
        let own = Range { epoch: number.epoch, first: number.seq, last: number.seq };
        let earlier = wire::declared(payload).map(|declaration| declaration.ranges).unwrap_or_default();
        for range in earlier.into_iter().chain([own]) {
            let span = Ranges::span(range.first as i64, range.last as i64);
            numbers.entry(range.epoch).or_default().extend(&span);
        }
    }
    let range = |epoch: Uuid, (start, end): (i64, i64)| Range { epoch, first: start as u64, last: end as u64 - 1 };
    numbers.iter().flat_map(|(epoch, of)| of.parts().iter().map(|part| range(*epoch, *part))).collect()
}
