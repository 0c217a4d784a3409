//! An action is something that happens, and carries its own chance.
//!
//! An action that is impossible at its time does nothing. So any part of a list of actions can run, and each action that is
//! left is what it was in the whole list.

use crate::chance::Chance;

/// A kind of action says what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An agent starts.
    Start,
    /// An agent checks one of its monitors.
    Check,
    /// An agent sends some records, of which one may not be acknowledged.
    Publish,
    /// An agent reports how it is, as it does every minute.
    Report,
    /// A collector does its next step.
    Collect,
    /// An agent's disk keeps how far Kafka has acknowledged.
    KeepCursor,
    /// A collector starts, or goes on after a pause.
    StartCollector,
    /// An agent is killed.
    Kill,
    /// An agent's machine loses its power.
    PowerCut,
    /// A copy of an agent's disk is made.
    SaveDisk,
    /// The copy of an agent's disk takes the disk's place.
    RestoreDisk,
    /// An agent loses its disk.
    WipeDisk,
    /// An agent's machine is cloned.
    CloneAgent,
    /// An agent is given another name.
    Rename,
    /// An agent stops cleanly.
    Stop,
    /// An agent's wall clock jumps.
    ClockJump,
    /// An agent takes in another configuration.
    Reload,
    /// An agent's outbox is at its bound and drops its oldest records.
    DropOldest,
    /// A partition loses its last messages.
    LoseTail,
    /// The topic is deleted and made again.
    RemakeTopic,
    /// A partition's oldest messages are past Kafka's retention.
    Retain,
    /// The topic is given another partition.
    AddPartition,
    /// Kafka forgets the group's offsets.
    ForgetOffsets,
    /// A collector is killed.
    KillCollector,
    /// A collector stands still, and its group goes on without it.
    PauseCollector,
    /// A backup of a database is made.
    BackUp,
    /// A database is set back to its backup.
    RestoreDatabase,
    /// A database crashes and is there again.
    CrashDatabase,
    /// A database will commit, and its answer will be lost.
    LoseAnswer,
    /// A database takes no writes, or takes them again.
    TurnReadOnly,
    /// A collector of a second database begins.
    SecondDatabase,
}

impl Kind {
    /// These are all kinds, with how often they happen. The first ones are in all schedules. The others are faults, of
    /// which each seed has some.
    pub(crate) const ALL: [(Kind, usize); 31] = [
        (Kind::Start, 20),
        (Kind::Check, 120),
        (Kind::Publish, 90),
        (Kind::Report, 15),
        (Kind::Collect, 280),
        (Kind::KeepCursor, 10),
        (Kind::StartCollector, 12),
        (Kind::Kill, 8),
        (Kind::PowerCut, 6),
        (Kind::SaveDisk, 3),
        (Kind::RestoreDisk, 3),
        (Kind::WipeDisk, 2),
        (Kind::CloneAgent, 2),
        (Kind::Rename, 4),
        (Kind::Stop, 5),
        (Kind::ClockJump, 4),
        (Kind::Reload, 5),
        (Kind::DropOldest, 4),
        (Kind::LoseTail, 4),
        (Kind::RemakeTopic, 2),
        (Kind::Retain, 4),
        (Kind::AddPartition, 1),
        (Kind::ForgetOffsets, 2),
        (Kind::KillCollector, 8),
        (Kind::PauseCollector, 6),
        (Kind::BackUp, 8),
        (Kind::RestoreDatabase, 8),
        (Kind::CrashDatabase, 6),
        (Kind::LoseAnswer, 6),
        (Kind::TurnReadOnly, 3),
        (Kind::SecondDatabase, 1),
    ];

    /// These many of the first kinds are in all schedules.
    pub(crate) const ALWAYS: usize = 7;

    /// This is what it is done to.
    pub(crate) const fn subject(self) -> Subject {
        match self {
            Kind::Start
            | Kind::Check
            | Kind::Publish
            | Kind::Report
            | Kind::KeepCursor
            | Kind::Kill
            | Kind::PowerCut
            | Kind::SaveDisk
            | Kind::RestoreDisk
            | Kind::WipeDisk
            | Kind::CloneAgent
            | Kind::Rename
            | Kind::Stop
            | Kind::ClockJump
            | Kind::Reload
            | Kind::DropOldest => Subject::Agent,
            Kind::LoseTail | Kind::RemakeTopic | Kind::Retain | Kind::AddPartition | Kind::ForgetOffsets => {
                Subject::Partition
            }
            Kind::Collect | Kind::StartCollector | Kind::KillCollector | Kind::PauseCollector => Subject::Collector,
            Kind::BackUp
            | Kind::RestoreDatabase
            | Kind::CrashDatabase
            | Kind::LoseAnswer
            | Kind::TurnReadOnly
            | Kind::SecondDatabase => Subject::Database,
        }
    }

    /// This is its place among all kinds.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// A subject is what an action is done to. An action that is done to the topic chooses one of its partitions, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Agent,
    Partition,
    Collector,
    Database,
}

/// An action is something that happens, with the chance by which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// This is what happens.
    pub kind: Kind,
    chance: u64,
}

impl Action {
    pub(crate) const fn new(kind: Kind, chance: u64) -> Action {
        Action { kind, chance }
    }

    pub(crate) const fn chance(self) -> Chance {
        Chance::of(self.chance)
    }
}
