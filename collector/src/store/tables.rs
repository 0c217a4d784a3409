//! `results` as diesel knows it, and a row of it.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use jiff::Timestamp;
use wire::CheckResult;

use super::plan::Fresh;

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
    }
}

/// A row of `results`.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = results, treat_none_as_default_value = false)]
pub(super) struct ResultRow<'a> {
    pub(super) monitor_id: i32,
    pub(super) checked_at: PgTimestamp,
    epoch_id: i32,
    seq: i64,
    outcome: &'static str,
    status_code: Option<i16>,
    reason: Option<&'a str>,
    response_time_us: Option<i64>,
    dns_us: Option<i64>,
    connect_us: Option<i64>,
    tls_us: Option<i64>,
    first_byte_us: Option<i64>,
    body_us: Option<i64>,
    attempts: i16,
    pattern_matched: Option<bool>,
    peer: Option<&'a str>,
    certificate_not_after: Option<PgTimestamp>,
    error: Option<&'a str>,
}

impl<'a> ResultRow<'a> {
    /// The row of a result. The wire's bounds keep every number within its column.
    fn new(monitor_id: i32, epoch_id: i32, seq: i64, result: &'a CheckResult) -> ResultRow<'a> {
        let us = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        ResultRow {
            monitor_id,
            checked_at: pg_time(result.checked_at),
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
        }
    }
}

/// The rows of results, whose monitors have these ids, in the order of the index. Keys are sorted in place of rows,
/// which are ten times as long.
pub(super) fn rows<'a>(results: &[Fresh<'a>], monitor_ids: &[i32]) -> Vec<ResultRow<'a>> {
    let mut keys: Vec<_> = results
        .iter()
        .zip(monitor_ids)
        .map(|(fresh, monitor_id)| {
            (*monitor_id, fresh.result.checked_at.as_microsecond(), fresh.epoch_id, fresh.seq, fresh)
        })
        .collect();
    keys.sort_unstable_by_key(|&(monitor_id, checked_at, epoch_id, seq, _)| (monitor_id, checked_at, epoch_id, seq));
    let row = |(monitor_id, _, epoch_id, seq, fresh): (_, _, _, _, &Fresh<'a>)| {
        ResultRow::new(monitor_id, epoch_id, seq, fresh.result)
    };
    keys.into_iter().map(row).collect()
}

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

/// The start of the hour, in UTC whatever the session's time zone is.
pub(super) fn hour(at: PgTimestamp) -> PgTimestamp {
    const HOUR: i64 = 3_600_000_000;
    PgTimestamp(at.0.div_euclid(HOUR) * HOUR)
}
