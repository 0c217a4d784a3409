//! Describes the table `results` to diesel, and makes its rows.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;

use crate::batch::CheckResult;
use crate::store::db::time::pg_time;
use crate::store::ingest::batch_plan::NewResult;
use crate::store::ingest::ledger_cache::Monitor;

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
pub(crate) struct Row<'a> {
    pub(crate) monitor_id: i32,
    pub(crate) checked_at: PgTimestamp,
    pub(crate) epoch_id: i32,
    pub(crate) seq: i64,
    pub(crate) result: &'a CheckResult<'a>,
}

impl Row<'_> {
    fn key(&self) -> (i32, i64, i32, i64) {
        (self.monitor_id, self.checked_at.0, self.epoch_id, self.seq)
    }
}

/// Returns the rows of these results in the order of the index. `monitors` has the monitor of each result.
pub(crate) fn rows<'a>(results: &[NewResult<'a>], monitors: &[Monitor]) -> Vec<Row<'a>> {
    let row = |(new_result, monitor): (&NewResult<'a>, &Monitor)| {
        let NewResult { epoch_id, seq, result } = *new_result;
        Row { monitor_id: monitor.id, checked_at: pg_time(result.checked_at), epoch_id, seq, result }
    };
    let mut rows: Vec<_> = results.iter().zip(monitors).map(row).collect();
    rows.sort_unstable_by_key(Row::key);
    rows
}

/// The columns of a row. Their values are within bounds because those of the wire are.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = results, treat_none_as_default_value = false)]
pub(crate) struct ResultRow<'a> {
    pub(crate) monitor_id: i32,
    pub(crate) checked_at: PgTimestamp,
    pub(crate) epoch_id: i32,
    pub(crate) seq: i64,
    pub(crate) outcome: &'static str,
    pub(crate) status_code: Option<i16>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) response_time_us: Option<i64>,
    pub(crate) dns_us: Option<i64>,
    pub(crate) connect_us: Option<i64>,
    pub(crate) tls_us: Option<i64>,
    pub(crate) first_byte_us: Option<i64>,
    pub(crate) body_us: Option<i64>,
    pub(crate) attempts: i16,
    pub(crate) pattern_matched: Option<bool>,
    pub(crate) peer: Option<&'a str>,
    pub(crate) certificate_not_after: Option<PgTimestamp>,
    pub(crate) error: Option<&'a str>,
    pub(crate) certificate_first_end: Option<PgTimestamp>,
}

impl<'a> ResultRow<'a> {
    pub(crate) fn new(row: &Row<'a>) -> ResultRow<'a> {
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
