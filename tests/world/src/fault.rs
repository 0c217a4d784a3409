//! Faults are what can be wrong at the end of a world.

use std::fmt;

/// A kind of fault says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A result has two rows.
    Twice,
    /// A row is not the monitor's that was checked.
    OtherMonitor,
    /// An epoch is said to be a run of another agent.
    OtherAgent,
    /// A row is of no epoch, or of a number that its epoch's ledger does not have.
    Stray,
    /// A message is in the log, and the database does not know it.
    Skipped,
    /// A record is nowhere, and nothing that happened explains it.
    Lost,
    /// The proof calls something missing that is there.
    FalseAlarm,
    /// The proof says that another number of records was issued than was.
    Issued,
    /// A number is pending for ever, though a later run of that name tells that it no longer comes.
    Pending,
    /// A number is pending for ever, and no run tells that it no longer comes.
    PendingUntold,
    /// The tables do not list the monitors that an agent checks.
    Invisible,
    /// The tables do not have the latest report of an agent.
    OldReport,
    /// Fewer results are said to be due than are.
    TooFewDue,
    /// The world does not come to rest.
    NoRest,
    /// An assertion failed.
    Panic,
}

impl FaultKind {
    /// The protocol leaves these to a person. What an outbox held that is gone counts as pending until a later run of its
    /// agent tells that it no longer comes. No run tells it where the agent has another name since then, where an older
    /// copy of the outbox came back in its place, or where the later run was heard of first, because it sent to another
    /// partition. A person has to say there that it is gone.
    pub const FOR_A_PERSON: [FaultKind; 1] = [FaultKind::PendingUntold];

    /// This is its name.
    pub const fn word(self) -> &'static str {
        match self {
            FaultKind::Twice => "twice",
            FaultKind::OtherMonitor => "other-monitor",
            FaultKind::OtherAgent => "other-agent",
            FaultKind::Stray => "stray",
            FaultKind::Skipped => "skipped",
            FaultKind::Lost => "lost",
            FaultKind::FalseAlarm => "false-alarm",
            FaultKind::Issued => "issued",
            FaultKind::Pending => "pending",
            FaultKind::PendingUntold => "pending-untold",
            FaultKind::Invisible => "invisible",
            FaultKind::OldReport => "old-report",
            FaultKind::TooFewDue => "too-few-due",
            FaultKind::NoRest => "no-rest",
            FaultKind::Panic => "panic",
        }
    }

    /// Answers whether it is left to a person.
    pub fn is_for_a_person(self) -> bool {
        FaultKind::FOR_A_PERSON.contains(&self)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A fault is something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// It is of this kind.
    pub kind: FaultKind,
    /// The text says what it is.
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}
