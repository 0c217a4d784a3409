//! Names outcomes in SQL.

/// The outcomes of checks that got a whole answer and therefore a response time, as a list in SQL.
pub(crate) const ANSWERED: &str =
    "('success', 'status_mismatch', 'pattern_mismatch', 'too_slow', 'certificate_expiring')";
