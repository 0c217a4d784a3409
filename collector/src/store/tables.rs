//! `results` as diesel knows it, and a row of it.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::Timestamptz;
use jiff::Timestamp;

use super::memory::Monitor;
use super::plan::Fresh;
use super::trouble::Trouble;
use crate::batch::CheckResult;

diesel::table! {
    results (monitor_id, checked_at, epoch_id, seq) {
        monitor_id -> Integer,
        checked_at -> Timestamptz,
        epoch_id -> Integer,
        seq -> BigInt,
        outcome -> Text,
        status_code -> Nullable<SmallInt>,
        reason -> Nullable<Text>,
        response_time_us -> Nullable<BigInt>,
        dns_us -> Nullable<BigInt>,
        connect_us -> Nullable<BigInt>,
        tls_us -> Nullable<BigInt>,
        first_byte_us -> Nullable<BigInt>,
        body_us -> Nullable<BigInt>,
        attempts -> SmallInt,
        pattern_matched -> Nullable<Bool>,
        peer -> Nullable<Text>,
        certificate_not_after -> Nullable<Timestamptz>,
        error -> Nullable<Text>,
        certificate_first_end -> Nullable<Timestamptz>,
    }
}

/// A row of `results`: a result and its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) monitor_id: i32,
    pub(super) checked_at: PgTimestamp,
    pub(super) epoch_id: i32,
    pub(super) seq: i64,
    pub(super) result: &'a CheckResult<'a>,
}

impl Row<'_> {
    fn key(&self) -> (i32, i64, i32, i64) {
        (self.monitor_id, self.checked_at.0, self.epoch_id, self.seq)
    }
}

/// The rows of results, whose monitors have these ids, in the order of the index.
pub(super) fn rows<'a>(results: &[Fresh<'a>], monitors: &[Monitor]) -> Vec<Row<'a>> {
    let row = |(fresh, monitor): (&Fresh<'a>, &Monitor)| {
        let Fresh { epoch_id, seq, result } = *fresh;
        Row { monitor_id: monitor.id, checked_at: pg_time(result.checked_at), epoch_id, seq, result }
    };
    let mut rows: Vec<_> = results.iter().zip(monitors).map(row).collect();
    rows.sort_unstable_by_key(Row::key);
    rows
}

/// A row's columns, within their bounds as the wire's are.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = results, treat_none_as_default_value = false)]
pub(super) struct ResultRow<'a> {
    pub(super) monitor_id: i32,
    pub(super) checked_at: PgTimestamp,
    pub(super) epoch_id: i32,
    pub(super) seq: i64,
    pub(super) outcome: &'static str,
    pub(super) status_code: Option<i16>,
    pub(super) reason: Option<&'a str>,
    pub(super) response_time_us: Option<i64>,
    pub(super) dns_us: Option<i64>,
    pub(super) connect_us: Option<i64>,
    pub(super) tls_us: Option<i64>,
    pub(super) first_byte_us: Option<i64>,
    pub(super) body_us: Option<i64>,
    pub(super) attempts: i16,
    pub(super) pattern_matched: Option<bool>,
    pub(super) peer: Option<&'a str>,
    pub(super) certificate_not_after: Option<PgTimestamp>,
    pub(super) error: Option<&'a str>,
    pub(super) certificate_first_end: Option<PgTimestamp>,
}

impl<'a> ResultRow<'a> {
    pub(super) fn new(row: &Row<'a>) -> ResultRow<'a> {
        let Row { monitor_id, checked_at, epoch_id, seq, result } = *row;
        let us = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        ResultRow {
            monitor_id,
            checked_at,
            epoch_id,
            seq,
            outcome: result.outcome.as_str(),
            status_code: result.status_code.map(|code| i16::try_from(code).unwrap_or(i16::MAX)),
            reason: result.reason.as_deref(),
            response_time_us: us(result.response_time_us),
            dns_us: us(result.phases.dns),
            connect_us: us(result.phases.connect),
            tls_us: us(result.phases.tls),
            first_byte_us: us(result.phases.first_byte),
            body_us: us(result.phases.body),
            attempts: i16::try_from(result.attempts).unwrap_or(i16::MAX),
            pattern_matched: result.pattern_matched,
            peer: result.peer.as_deref(),
            certificate_not_after: result.certificate.as_ref().map(|certificate| pg_time(certificate.not_after)),
            error: result.error.as_deref(),
            certificate_first_end: result
                .certificate
                .as_ref()
                .and_then(|certificate| certificate.first_end)
                .map(pg_time),
        }
    }
}

/// The outcomes of checks that got a whole answer, and so a response time, as a list of SQL.
pub(super) const ANSWERED: &str =
    "('success', 'status_mismatch', 'pattern_mismatch', 'too_slow', 'certificate_expiring')";

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const TWO_THOUSAND: i64 = 946_684_800_000_000;

/// A time as PostgreSQL has it.
pub(super) fn pg_time(at: Timestamp) -> PgTimestamp {
    PgTimestamp(at.as_microsecond() - TWO_THOUSAND)
}

/// A time of PostgreSQL.
pub(super) fn time(at: PgTimestamp) -> Timestamp {
    let us = at.0.saturating_add(TWO_THOUSAND);
    Timestamp::from_microsecond(us).unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// The time by the database's clock, which is that of a transaction while there is one.
pub(super) fn now(connection: &mut PgConnection) -> Result<Timestamp, Trouble> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: PgTimestamp,
    }
    let Now { now } = sql_query("select now() as now").get_result(connection)?;
    Ok(time(now))
}

/// The start of the hour, in UTC whatever the session's time zone is.
pub(super) fn hour(at: PgTimestamp) -> PgTimestamp {
    const HOUR: i64 = 3_600_000_000;
    PgTimestamp(at.0.div_euclid(HOUR) * HOUR)
}
