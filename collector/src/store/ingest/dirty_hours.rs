//! Marks hours whose summaries are due: which hours have new results, for which monitors, and from when on.
//!
//! A batch makes one mark for each hour. It makes two for an hour in which some of its results are current and some
//! came late, because the packed part of an hour that goes on is valid for the monitors whose marks are all newer.

use std::collections::BTreeMap;
use std::ops::Bound;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Multirange, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use super::rows::results::Row;
use crate::ranges::Ranges;
use crate::store::db::error::StoreError;
use crate::store::db::time::{hour, pg_time};

/// The age above which results are not current.
const OF_NOW: SignedDuration = SignedDuration::from_mins(2);

/// What a mark stands for.
#[derive(Debug)]
pub(crate) struct Due {
    /// Its earliest check, as the database counts time.
    since: i64,
    monitors: Ranges,
}

/// The marks by hour and by whether their results are current.
pub(crate) type DirtyHours = BTreeMap<(i64, bool), Due>;

/// Returns the marks of these rows.
pub(crate) fn of(rows: &[Row<'_>], now: Timestamp) -> DirtyHours {
    let of_now = pg_time(now.saturating_sub(OF_NOW).unwrap_or(now)).0;
    let mut marks = DirtyHours::new();
    for row in rows {
        let at = row.checked_at.0;
        let nothing = || Due { since: at, monitors: Ranges::new() };
        let due = marks.entry((hour(row.checked_at).0, at >= of_now)).or_insert_with(nothing);
        due.since = due.since.min(at);
        due.monitors.insert(row.monitor_id.into());
    }
    marks
}

/// Stores these marks.
pub(crate) fn store(connection: &mut PgConnection, marks: &DirtyHours) -> Result<(), StoreError> {
    if marks.is_empty() {
        return Ok(());
    }
    let id = |id: i64| i32::try_from(id).unwrap_or(i32::MAX);
    let monitors = |due: &Due| -> Vec<(Bound<i32>, Bound<i32>)> {
        let bounds = |(start, end): &(i64, i64)| (Bound::Included(id(*start)), Bound::Excluded(id(*end)));
        due.monitors.parts().iter().map(bounds).collect()
    };
    sql_query("insert into rollup_due (hour, monitors, since) select * from unnest($1, $2, $3)")
        .bind::<Array<Timestamptz>, _>(marks.keys().map(|(hour, _)| PgTimestamp(*hour)).collect::<Vec<_>>())
        .bind::<Array<Multirange<Integer>>, _>(marks.values().map(monitors).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(marks.values().map(|due| PgTimestamp(due.since)).collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}
