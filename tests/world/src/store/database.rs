//! A database has tables, a backup, sessions, and their locks.

use std::collections::{BTreeMap, BTreeSet};

use super::tables::Tables;
use crate::common::Common;
use crate::cover::Rare;

/// A transaction that holds its locks longer is ended for a rival. The time is in milliseconds.
const IDLE_TIMEOUT: i64 = 15_000;

#[derive(Default)]
pub(crate) struct Database {
    pub(crate) tables: Tables,
    backup: Option<Tables>,
    /// These sessions have not ended.
    sessions: BTreeSet<u64>,
    /// There were ever these many sessions.
    connected: u64,
    /// The locks are known by the epochs' ids.
    locks: BTreeMap<usize, Lock>,
    pub(crate) is_read_only: bool,
    /// The answer to the next commit will be lost.
    pub(crate) loses_answer: bool,
}

#[derive(Clone, Copy)]
struct Lock {
    session: u64,
    since: i64,
}

/// A commit is made, and the collector may hear so or not.
pub(super) enum Commit {
    Answered,
    Unanswered,
}

impl Database {
    pub(super) fn connect(&mut self) -> u64 {
        self.connected += 1;
        self.sessions.insert(self.connected);
        self.connected
    }

    /// Answers whether a session has not ended.
    pub(super) fn has(&self, session: u64) -> bool {
        self.sessions.contains(&session)
    }

    /// Ends a session, and rolls back what it did.
    pub(super) fn end(&mut self, session: u64) {
        self.sessions.remove(&session);
        self.unlock(session);
    }

    pub(super) fn unlock(&mut self, session: u64) {
        self.locks.retain(|_, lock| lock.session != session);
    }

    /// Locks all of these epochs or none of them, and answers whether it could. A rival that stands still too long is
    /// ended.
    pub(super) fn lock(&mut self, epochs: &[usize], session: u64, common: &mut Common) -> bool {
        let rivals = epochs.iter().filter_map(|epoch| self.locks.get(epoch)).filter(|lock| lock.session != session);
        let Some(rival) = rivals.copied().next() else {
            self.locks.extend(epochs.iter().map(|epoch| (*epoch, Lock { session, since: common.now })));
            return true;
        };
        if common.now - rival.since > IDLE_TIMEOUT {
            common.meets(Rare::Ended);
            self.end(rival.session);
        }
        false
    }

    /// Commits what a session has written.
    pub(super) fn commit(&mut self, session: u64) -> Commit {
        self.unlock(session);
        if std::mem::take(&mut self.loses_answer) {
            self.end(session);
            return Commit::Unanswered;
        }
        Commit::Answered
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = Some(self.tables.clone());
    }

    /// Goes back to the backup, where there is one.
    pub(crate) fn restore(&mut self) -> bool {
        let Some(backup) = self.backup.clone() else { return false };
        self.tables = backup;
        self.crash();
        true
    }

    /// Ends all sessions.
    pub(crate) fn crash(&mut self) {
        self.sessions.clear();
        self.locks.clear();
        self.loses_answer = false;
    }

    /// Answers whether a transaction holds locks.
    pub(crate) fn is_written_to(&self) -> bool {
        !self.locks.is_empty()
    }
}
