//! Makes records as an agent would write them, for tests that cannot make a real agent write such records.

use anyhow::Result;
use e2e::kafka::Topic;
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;
use wire::{
    AgentEvent, AgentReport, CheckResult, Clock, Configuration, Content, DropReason, Dropped, Outcome, Pending, Phases,
    Previous, Range, Record,
};

/// One epoch of an agent that does not exist.
pub(crate) struct Forge {
    pub(crate) epoch: Uuid,
    agent: String,
    begin: Timestamp,
}

impl Forge {
    pub(crate) fn new(agent: &str) -> Forge {
        Forge { epoch: Uuid::new_v4(), agent: agent.into(), begin: Timestamp::now() }
    }

    pub(crate) fn record(&self, seq: u64, content: Content) -> Vec<u8> {
        Record { epoch: self.epoch, seq, agent: self.agent.clone(), content }.encode()
    }

    /// Returns a good result. Its time differs from the times of the million numbers around it.
    pub(crate) fn result(&self, seq: u64) -> Vec<u8> {
        self.result_at(seq, self.begin + ((seq % 1_000_000) as i64).milliseconds())
    }

    pub(crate) fn result_at(&self, seq: u64, at: Timestamp) -> Vec<u8> {
        self.record(seq, Content::Result(Box::new(result(at))))
    }

    /// Returns the first record of an epoch.
    pub(crate) fn start(&self, previous: Option<Previous>) -> Vec<u8> {
        self.report(1, AgentReport { previous, ..report(AgentEvent::Start, 0) })
    }

    /// Returns a report that says that Kafka acknowledged all records before it.
    pub(crate) fn periodic(&self, seq: u64) -> Vec<u8> {
        self.report(seq, report(AgentEvent::Periodic, seq - 1))
    }

    /// Returns a report that says that all records from `oldest` on wait in the outbox.
    pub(crate) fn waiting(&self, seq: u64, oldest: u64) -> Vec<u8> {
        let oldest_pending = Some(Pending { epoch: self.epoch, seq: oldest });
        let pending = seq - oldest;
        self.report(seq, AgentReport { pending, oldest_pending, ..report(AgentEvent::Periodic, seq - 1) })
    }

    /// Returns the last record of a clean stop.
    pub(crate) fn stop(&self, seq: u64) -> Vec<u8> {
        self.report(seq, report(AgentEvent::Stop, seq - 1))
    }

    /// Returns a declaration that the numbers of this epoch from `first` to `last` will not arrive.
    pub(crate) fn dropped(&self, seq: u64, first: u64, last: u64) -> Vec<u8> {
        let ranges = vec![Range { epoch: self.epoch, first, last }];
        let dropped = Dropped { ranges, reason: DropReason::OutboxFull, dropped_at: Timestamp::now() };
        self.record(seq, Content::Dropped(dropped))
    }

    fn report(&self, seq: u64, report: AgentReport) -> Vec<u8> {
        self.record(seq, Content::Agent(Box::new(report)))
    }
}

/// Sends messages under one key, so that they keep their order.
pub(crate) fn produce(topic: &Topic, messages: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
    let messages: Vec<Vec<u8>> = messages.into_iter().collect();
    topic.produce_all(messages.iter().map(|message| (Some(&b"forged"[..]), Some(message.as_slice()))))
}

fn result(at: Timestamp) -> CheckResult {
    CheckResult {
        monitor: "shop".into(),
        name: "shop".into(),
        url: "http://127.0.0.1:9/".into(),
        pattern: None,
        scheduled_at: at,
        checked_at: at,
        outcome: Outcome::Success,
        status_code: Some(200),
        reason: Some("OK".into()),
        response_time_us: Some(100),
        phases: Phases::default(),
        peer: None,
        redirects: None,
        pattern_matched: None,
        certificate: None,
        body_bytes: None,
        truncated: None,
        attempts: 1,
        tags: Default::default(),
        error: None,
    }
}

fn report(event: AgentEvent, highest_seq: u64) -> AgentReport {
    AgentReport {
        event,
        at: Timestamp::now(),
        version: "0".into(),
        previous: None,
        highest_seq,
        pending: 0,
        oldest_pending: None,
        outbox_bytes: 0,
        missed: Default::default(),
        clock: Clock::default(),
        configuration: Configuration::default(),
        labels: Default::default(),
        monitors: Vec::new(),
        due_since: None,
        list: None,
    }
}
