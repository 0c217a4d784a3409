//! What the demo has seen, in one sentence, and whether it is what was promised.

use std::fmt;

use e2e::collector::Verification;

pub(crate) struct Seen {
    pub(crate) rows: u64,
    pub(crate) rows_after_replay: u64,
    /// Distinct pairs of epoch and sequence number among the rows.
    pub(crate) numbers: u64,
    /// Messages of the topic, all of which were read twice.
    pub(crate) replayed: u64,
    /// Requests that the sites saw.
    pub(crate) requests: u64,
    /// Rows of results that had an answer.
    pub(crate) requests_stored: u64,
    /// Requests whose results the killed agent took along.
    pub(crate) under_way: u64,
    pub(crate) verification: Verification,
}

impl Seen {
    pub(crate) fn is_well(&self) -> bool {
        self.faults().is_empty()
    }

    fn faults(&self) -> Vec<String> {
        let lost = self.requests.saturating_sub(self.requests_stored);
        let missing = self.verification.total.missing;
        [
            (self.rows == 0, "nothing was stored".into()),
            (missing > 0, format!("{missing} numbers are missing")),
            (self.verification.code != Some(0), "verify is not content".into()),
            (self.numbers != self.rows_after_replay, format!("{} rows have {} numbers", self.rows, self.numbers)),
            (
                self.rows_after_replay != self.rows,
                format!("the replay made {} rows of {}", self.rows_after_replay, self.rows),
            ),
            (lost > self.under_way, format!("{lost} requests that the sites saw have no row")),
            (self.requests_stored > self.requests, "there are more rows than requests".into()),
        ]
        .into_iter()
        .filter_map(|(is_so, fault)| is_so.then_some(fault))
        .collect()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.faults();
        if !faults.is_empty() {
            return write!(f, "This is not what was promised: {}.", faults.join("; "));
        }
        let Seen { rows, requests, replayed, .. } = self;
        write!(f, "{rows} results were checked and {rows} stored, each exactly once; ")?;
        write!(f, "each of the {requests} requests that the sites saw has its row")?;
        match requests - self.requests_stored {
            0 => {}
            lost => write!(f, " (but for {lost} that the agent was waiting for when it was killed)")?,
        }
        write!(f, "; {replayed} replayed messages, the agent's own reports among them, added nothing.")
    }
}
