//! The reasons why slots had no check.

use std::collections::BTreeMap;

/// Why a slot had no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Missed {
    /// The monitor's last check was still running.
    Overlap,
    /// All workers, or all that its lane may have, were busy.
    NoWorker,
    /// No one looked at the clock in time: the process was stopped, or had no processor.
    Late,
    /// The machine slept.
    Suspended,
    /// The schedule was paused.
    Paused,
    /// The agent was stopping.
    Stopped,
}

impl Missed {
    /// The reason's word, as in reports.
    fn as_str(self) -> &'static str {
        match self {
            Missed::Overlap => "overlap",
            Missed::NoWorker => "no_worker",
            Missed::Late => "late",
            Missed::Suspended => "suspended",
            Missed::Paused => "paused",
            Missed::Stopped => "stopped",
        }
    }
}

/// How many slots had none, by reason.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<Missed, u64>);

impl Tally {
    pub(super) fn add(&mut self, reason: Missed, slots: u64) {
        if slots > 0 {
            *self.0.entry(reason).or_default() += slots;
        }
    }

    /// As reports have it.
    pub(super) fn by_word(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(reason, count)| (reason.as_str().to_owned(), *count)).collect()
    }
}
