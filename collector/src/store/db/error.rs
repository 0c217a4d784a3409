//! Sorts the errors of the database by what is to be done about them.
//!
//! diesel hands out no SQLSTATE, only its own kinds of a few of them, and messages come in the server's language. Where
//! the kind of an error says too little, the statement decides. A statement that carries no text of a record can fail
//! only by a fault of the database. A statement that waits for a lock mostly fails because it did not get the lock. The
//! rest is found out by trying: the caller tries again, and then looks for the records that fail while others are
//! accepted.

use diesel::result::{DatabaseErrorKind, Error};
use settings::{Failure, FailureKind};

use crate::unavailable::Unavailable;

/// The reason why a batch was not stored.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The database is away or can't store. The batch is kept and tried again without end.
    Unavailable(String),
    /// A lock could not be taken in time. The batch is tried again as well, but the session that holds the lock may be
    /// stuck.
    Locked(String),
    /// Another writer accounted for some of these numbers, or ids mean something else in this database. The ledger and
    /// the ids must be read again.
    Stale,
    /// The database is not at the positions at which it was left. They must be located again.
    Moved,
    /// Rows exist that the ledger doesn't know.
    Clash,
    /// There is no partition for a row: the partitions that were known are gone.
    NoPartition(String),
    /// The fault is of the records or of the database. Only trying again shows which one.
    Refused(String),
}

/// What a statement carries, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// The statement carries nothing of a record but numbers.
    Plain,
    /// The statement carries nothing of a record but numbers, and it waits for locks.
    Lock,
    /// The statement carries text or times of records.
    Records,
    /// The statement carries rows of `results`.
    Rows,
}

impl StoreError {
    /// Sorts an error of a statement.
    pub(crate) fn of(error: Error, statement: Statement) -> StoreError {
        let text = describe(&error);
        match (kind(&error), statement) {
            (Some(DatabaseErrorKind::UniqueViolation), Statement::Rows) => StoreError::Clash,
            (Some(DatabaseErrorKind::CheckViolation), Statement::Rows) => StoreError::NoPartition(text),
            (
                Some(
                    DatabaseErrorKind::ClosedConnection
                    | DatabaseErrorKind::UnableToSendCommand
                    | DatabaseErrorKind::ReadOnlyTransaction
                    | DatabaseErrorKind::SerializationFailure,
                ),
                _,
            ) => StoreError::Unavailable(text),
            (Some(_), Statement::Lock) => StoreError::Locked(text),
            (Some(_), Statement::Records | Statement::Rows) => StoreError::Refused(text),
            (None, Statement::Records | Statement::Rows) if matches!(error, Error::SerializationError(_)) => {
                StoreError::Refused(text)
            }
            _ => StoreError::Unavailable(text),
        }
    }
}

impl From<StoreError> for Unavailable {
    fn from(error: StoreError) -> Unavailable {
        match error {
            StoreError::Unavailable(text) | StoreError::Locked(text) => Unavailable(text),
            StoreError::Refused(text) | StoreError::NoPartition(text) => Unavailable(text),
            StoreError::Stale | StoreError::Clash => Unavailable("the ledger changed at the same time".into()),
            StoreError::Moved => Unavailable("the database is not where it was left".into()),
        }
    }
}

/// Sorts the errors of plain statements, and of the begin and the end of a transaction.
impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        StoreError::of(error, Statement::Plain)
    }
}

fn kind(error: &Error) -> Option<DatabaseErrorKind> {
    match error {
        Error::DatabaseError(kind, _) => Some(*kind),
        _ => None,
    }
}

/// Returns the error in one line, with the server's detail and hint.
pub(crate) fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    if let Error::DatabaseError(_, information) = error {
        for more in [information.details(), information.hint()].into_iter().flatten() {
            text.push_str("; ");
            text.push_str(more);
        }
    }
    text.replace('\n', " ").trim().to_owned()
}

/// Returns by its text what kind of failure keeps the database from storing. libpq gives no code for a connection that
/// it did not get. Its own messages are English, and the server's messages are in the server's language. A text that is
/// not known here is told as it is. A name may have several addresses, and the most telling of their reasons is the
/// kind.
pub(crate) fn failure(text: &str) -> Failure {
    let mut addresses = text.split("connection to server at ");
    let before = addresses.next();
    let kind = addresses.map(kind_by_words).max().or(before.map(kind_by_words));
    Failure::new(kind.unwrap_or(FailureKind::Other), text)
}

/// Returns the kind of the reason for one address.
fn kind_by_words(reason: &str) -> FailureKind {
    const KINDS: [(FailureKind, &[&str]); 7] = [
        // An encrypted connection that breaks off counts as a broken connection, not as a fault of TLS.
        (FailureKind::Connection, &["closed unexpectedly", "closed the connection"]),
        (FailureKind::Authentication, &["authentication failed", "no password supplied", "pg_hba.conf"]),
        (
            FailureKind::Tls,
            &[
                "certificate verify failed",
                "server certificate",
                "client certificate",
                "SSL error",
                "does not support SSL",
            ],
        ),
        (FailureKind::Authorization, &["permission denied", "must be owner"]),
        (FailureKind::Dns, &["could not translate host name"]),
        (FailureKind::Timeout, &["timeout expired", "timed out"]),
        (
            FailureKind::Connection,
            &[
                "Connection refused",
                "Connection reset",
                "Broken pipe",
                "No route to host",
                "Network is unreachable",
                "Host is down",
                "No such file or directory",
                "could not connect",
            ],
        ),
    ];
    let known = KINDS.iter().find(|(_, words)| words.iter().any(|word| reason.contains(word)));
    known.map_or(FailureKind::Other, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_the_most_telling_reason_is_the_kind() {
        let text = "connection to server at \"localhost\" (::1), port 5432 failed: Connection refused connection to server at \"localhost\" (127.0.0.1), port 5432 failed: ";
        assert_eq!(failure(&format!("{text}Connection refused")).kind, FailureKind::Connection);
        let refused = |reason: &str| failure(&format!("{text}{reason}")).kind;
        assert_eq!(refused("FATAL: password authentication failed for user \"x\""), FailureKind::Authentication);
        assert_eq!(refused("SSL error: certificate verify failed"), FailureKind::Tls);
        assert_eq!(refused("FATAL:  sorry, too many clients already"), FailureKind::Other);
    }

    #[test]
    fn what_a_server_answers_tells_more_than_that_nothing_answered() {
        let ended = failure("terminating connection due to administrator command");
        let at =
            |reason: &str| failure(&format!("connection to server at \"db\" (10.0.0.1), port 5432 failed: {reason}"));
        let (full, refused) = (at("FATAL:  sorry, too many clients already"), at("Connection refused"));
        assert_eq!((ended.kind, full.kind), (FailureKind::Other, FailureKind::Other), "neither hides the other");
        assert!(refused.kind < full.kind);
    }

    fn database(kind: DatabaseErrorKind) -> Error {
        Error::DatabaseError(kind, Box::new("what\nhappened".to_owned()))
    }

    #[test]
    fn an_unknown_error_is_the_databases_unless_the_statement_carries_records() {
        let sorted = |statement| StoreError::of(database(DatabaseErrorKind::Unknown), statement);
        assert!(matches!(sorted(Statement::Plain), StoreError::Unavailable(_)));
        assert!(matches!(sorted(Statement::Lock), StoreError::Locked(_)));
        assert!(matches!(sorted(Statement::Records), StoreError::Refused(_)));
        assert!(matches!(sorted(Statement::Rows), StoreError::Refused(text) if text == "what happened"));
    }

    #[test]
    fn a_lost_connection_never_blames_a_record() {
        for kind in [DatabaseErrorKind::ClosedConnection, DatabaseErrorKind::ReadOnlyTransaction] {
            assert!(matches!(StoreError::of(database(kind), Statement::Rows), StoreError::Unavailable(_)));
        }
        assert!(matches!(StoreError::of(Error::BrokenTransactionManager, Statement::Rows), StoreError::Unavailable(_)));
    }

    #[test]
    fn only_rows_clash_with_rows() {
        let unique = || database(DatabaseErrorKind::UniqueViolation);
        assert!(matches!(StoreError::of(unique(), Statement::Rows), StoreError::Clash));
        assert!(matches!(StoreError::of(unique(), Statement::Records), StoreError::Refused(_)));
    }
}
