//! Converts times to PostgreSQL's and back.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Timestamptz;
use jiff::Timestamp;

use super::error::StoreError;

/// The microseconds from 1970 to 2000, where PostgreSQL begins to count.
const TWO_THOUSAND: i64 = 946_684_800_000_000;

/// Returns a time as PostgreSQL has it.
pub(crate) fn pg_time(at: Timestamp) -> PgTimestamp {
    PgTimestamp(at.as_microsecond() - TWO_THOUSAND)
}

/// Returns a time that PostgreSQL gave.
pub(crate) fn time(at: PgTimestamp) -> Timestamp {
    let us = at.0.saturating_add(TWO_THOUSAND);
    Timestamp::from_microsecond(us).unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Returns the time by the database's clock. Within a transaction it is the time at which the transaction began.
pub(crate) fn now(connection: &mut PgConnection) -> Result<Timestamp, StoreError> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: PgTimestamp,
    }
    let Now { now } = sql_query("select now() as now").get_result(connection)?;
    Ok(time(now))
}

/// Returns the start of the hour in UTC, whatever the session's time zone is.
pub(crate) fn hour(at: PgTimestamp) -> PgTimestamp {
    const HOUR: i64 = 3_600_000_000;
    PgTimestamp(at.0.div_euclid(HOUR) * HOUR)
}
