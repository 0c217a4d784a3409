//! Reads which hours and days have results that their summaries do not have yet, and for which monitors.

use std::collections::BTreeMap;
use std::ops::Bound;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Multirange, Nullable, Timestamptz};
use jiff::Timestamp;

use crate::ranges::Ranges;
use crate::store::db::error::StoreError;
use crate::store::db::multirange::from_sql;
use crate::store::db::time::pg_time;
use crate::store::summary_blocks::Span;

/// The marks by the begin of the hour or the day, as the database counts time. A mark has the earliest check that it
/// stands for, and its monitors.
type Marks = BTreeMap<i64, Vec<(i64, Ranges)>>;

/// The hours and days that are marked.
pub(crate) struct Due {
    hours: Marks,
    days: Marks,
}

impl Due {
    /// Reads the marks of the hours and days that begin at or after this time.
    pub(crate) fn read(connection: &mut PgConnection, since: Timestamp) -> Result<Due, StoreError> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Timestamptz)]
            begins: PgTimestamp,
            #[diesel(sql_type = Nullable<Timestamptz>)]
            since: Option<PgTimestamp>,
            #[diesel(sql_type = Multirange<BigInt>)]
            monitors: Vec<(Bound<i64>, Bound<i64>)>,
        }
        let mut of = |marks: &str| -> Result<Marks, StoreError> {
            let rows: Vec<Row> = sql_query(format!(
                "select m.begins, m.since, range_agg(int8range(lower(r.ids), upper(r.ids))) as monitors
                 from ({marks}) m(begins, since, monitors) cross join lateral unnest(m.monitors) r(ids)
                 where m.begins >= $1 group by 1, 2"
            ))
            .bind::<Timestamptz, _>(pg_time(since))
            .load(connection)?;
            let mut marks = Marks::new();
            for row in rows {
                let since = row.since.unwrap_or(row.begins).0;
                marks.entry(row.begins.0).or_default().push((since, from_sql(row.monitors)));
            }
            Ok(marks)
        };
        Ok(Due {
            hours: of("select hour, since, monitors from rollup_due")?,
            // A day is due as long as one of its hours is.
            days: of("select day, null, monitors from daily_due
                      union all
                      select date_bin('1 day', hour, '1970-01-01 00:00:00Z'), null::timestamptz, monitors from rollup_due")?,
        })
    }

    /// Returns the monitors that have a mark from before `until`.
    pub(crate) fn of(&self, span: Span, begins: i64, until: i64) -> Ranges {
        let marks = if span.is_day() { &self.days } else { &self.hours };
        let marks = marks.get(&begins).map(Vec::as_slice).unwrap_or_default();
        let before = marks.iter().filter(|(since, _)| *since < until);
        before.fold(Ranges::new(), |all, (_, monitors)| all.union(monitors))
    }
}
