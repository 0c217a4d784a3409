//! Outcomes as SQL names them.

/// The outcomes of checks that got a whole answer, and so a response time, as a list of SQL.
pub(crate) const ANSWERED: &str =
    "('success', 'status_mismatch', 'pattern_mismatch', 'too_slow', 'certificate_expiring')";
