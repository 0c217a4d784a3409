//! The cover of a run says which actions happened at which stage of a batch, and which rare states were met.

use std::fmt;

use crate::action::Kind;

/// A stage says how far a collector is with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Idle,
    Batch,
    Transaction,
}

/// A rare state is one that some schedules must reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rare {
    /// An acknowledgement was lost.
    LostAcknowledgement,
    /// A record was sent and did not arrive.
    LostRecord,
    /// A list of monitors was dropped and said again.
    ListSaidAgain,
    /// A collector joined, and the log had lost its tail.
    LostTail,
    /// A collector joined, and its position was outside of the log.
    OutOfRange,
    /// A commit of offsets was lost.
    LostOffsets,
    /// A collector noticed that the topic was made again.
    TopicNoticed,
    /// A collector read another topic without noticing it.
    TopicUnnoticed,
    /// A batch was stored by a collector whose partitions had been given to others.
    Zombie,
    /// A batch did not begin where the database was.
    BatchElsewhere,
    /// An idle collector saw that the database was elsewhere.
    IdleElsewhere,
    /// A new session showed that the database was elsewhere.
    SessionElsewhere,
    /// A transaction waited for a rival's.
    Rival,
    /// A transaction that stood still was ended for a rival.
    Ended,
    /// A remembered ledger lagged behind the database's.
    StaleMemory,
    /// A commit was made, and its answer was lost.
    LostAnswer,
    /// A transaction was lost with its session.
    LostTransaction,
    /// A database was set back while a transaction was open.
    RestoredUnderTransaction,
    /// A report came after one of a later run.
    LateReport,
}

impl Rare {
    /// These are all rare states.
    pub const ALL: [Rare; 19] = [
        Rare::LostAcknowledgement,
        Rare::LostRecord,
        Rare::ListSaidAgain,
        Rare::LostTail,
        Rare::OutOfRange,
        Rare::LostOffsets,
        Rare::TopicNoticed,
        Rare::TopicUnnoticed,
        Rare::Zombie,
        Rare::BatchElsewhere,
        Rare::IdleElsewhere,
        Rare::SessionElsewhere,
        Rare::Rival,
        Rare::Ended,
        Rare::StaleMemory,
        Rare::LostAnswer,
        Rare::LostTransaction,
        Rare::RestoredUnderTransaction,
        Rare::LateReport,
    ];

    const fn sentence(self) -> &'static str {
        match self {
            Rare::LostAcknowledgement => "an acknowledgement was lost",
            Rare::LostRecord => "a record was sent and did not arrive",
            Rare::ListSaidAgain => "a list of monitors was dropped and said again",
            Rare::LostTail => "a collector joined, and the log had lost its tail",
            Rare::OutOfRange => "a collector joined, and its position was outside of the log",
            Rare::LostOffsets => "a commit of offsets was lost",
            Rare::TopicNoticed => "a collector noticed that the topic was made again",
            Rare::TopicUnnoticed => "a collector read another topic without noticing it",
            Rare::Zombie => "a batch was stored by a collector whose partitions had been given to others",
            Rare::BatchElsewhere => "a batch did not begin where the database was",
            Rare::IdleElsewhere => "an idle collector saw that the database was elsewhere",
            Rare::SessionElsewhere => "a new session showed that the database was elsewhere",
            Rare::Rival => "a transaction waited for a rival's",
            Rare::Ended => "a transaction that stood still was ended for a rival",
            Rare::StaleMemory => "a remembered ledger lagged behind the database's",
            Rare::LostAnswer => "a commit was made, and its answer was lost",
            Rare::LostTransaction => "a transaction was lost with its session",
            Rare::RestoredUnderTransaction => "a database was set back while a transaction was open",
            Rare::LateReport => "a report came after one of a later run",
        }
    }
}

/// The cover counts how often each was met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    happened: [[u64; 3]; Kind::ALL.len()],
    met: [u64; Rare::ALL.len()],
}

impl Cover {
    pub(crate) fn happens(&mut self, kind: Kind, stage: Stage) {
        self.happened[kind.index()][stage as usize] += 1;
    }

    pub(crate) fn meets(&mut self, rare: Rare) {
        self.met[rare as usize] += 1;
    }

    /// Answers how often actions of a kind happened.
    pub fn happened(&self, kind: Kind) -> u64 {
        self.happened[kind.index()].iter().sum()
    }

    /// Answers how often a rare state was met.
    pub fn met(&self, rare: Rare) -> u64 {
        self.met[rare as usize]
    }

    /// Tells what never happened, and what was never met.
    pub fn missing(&self) -> Vec<String> {
        let kinds = Kind::ALL.iter().filter(|(kind, _)| self.happened(*kind) == 0).map(|(kind, _)| format!("{kind:?}"));
        let rare = Rare::ALL.iter().filter(|rare| self.met(**rare) == 0).map(|rare| rare.sentence().to_owned());
        kinds.chain(rare).collect()
    }

    /// Adds what was met elsewhere.
    pub fn add(&mut self, other: &Cover) {
        let sums = self.happened.iter_mut().flatten().chain(&mut self.met);
        let more = other.happened.iter().flatten().chain(&other.met);
        sums.zip(more).for_each(|(sum, more)| *sum += more);
    }
}

/// People see two tables.
impl fmt::Display for Cover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:16} {:>10} {:>10} {:>12}", "happened", "idle", "in a batch", "transaction")?;
        for (kind, _) in Kind::ALL {
            let [idle, batch, transaction] = self.happened[kind.index()];
            writeln!(f, "{:16} {idle:10} {batch:10} {transaction:12}", format!("{kind:?}"))?;
        }
        for rare in Rare::ALL {
            writeln!(f, "{:10} times {}", self.met(rare), rare.sentence())?;
        }
        Ok(())
    }
}
