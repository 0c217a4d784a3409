//! Reads what agents said that they check, by the monitors' ids.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use crate::figures::due::{Schedule, Span};
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = Text)]
    monitor: String,
    #[diesel(sql_type = BigInt)]
    interval_ms: i64,
    #[diesel(sql_type = Jsonb)]
    tags: serde_json::Value,
    #[diesel(sql_type = Timestamptz)]
    begins: PgTimestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ends: Option<PgTimestamp>,
    #[diesel(sql_type = Bool)]
    is_stopped: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    resumes: Option<PgTimestamp>,
}

/// Reads the schedules that hold at some time from `since` on, of all monitors or of one.
pub(in crate::store) fn read(
    connection: &mut PgConnection,
    since: Timestamp,
    now: Timestamp,
    id: Option<&str>,
) -> Result<BTreeMap<String, Schedule>, StoreError> {
    // One monitor is taken out of the lists that have it, and only once when a list was said again. Both queries have
    // the same parameters.
    let query = match id {
        None => "select * from schedule_spans($1, $2) where $3 is null",
        Some(_) => {
            "select distinct l.agent_id, $3 as monitor, l.intervals_ms[place] as interval_ms,
                    coalesce(l.tags[place], '{}') as tags, l.begins, l.ends, l.is_stopped, l.resumes
             from schedule_lists($1, $2) l, array_position(l.monitors, $3) place where place is not null"
        }
    };
    let rows: Vec<Row> = sql_query(query)
        .bind::<Timestamptz, _>(pg_time(since))
        .bind::<Timestamptz, _>(pg_time(now))
        .bind::<Nullable<Text>, _>(id)
        .load(connection)?;
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for row in rows {
        let span = Span {
            agent_id: row.agent_id,
            interval: SignedDuration::from_millis(row.interval_ms),
            tags: serde_json::from_value(row.tags).unwrap_or_default(),
            begins: time(row.begins),
            ends: row.ends.map(time),
            is_stopped: row.is_stopped,
            resumes: row.resumes.map(time),
        };
        spans.entry(row.monitor).or_default().push(span);
    }
    Ok(spans.into_iter().map(|(monitor, spans)| (monitor, Schedule::new(spans, now))).collect())
}
