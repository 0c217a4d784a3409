//! Reads and writes the rows of alerts.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, Text, Timestamptz};
use serde_json::{Value, json};

use crate::alerts::{Alert, Changes, Known, Phase};
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    rule: String,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    since: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    changed_at: PgTimestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    told_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    silenced: Option<String>,
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = Array<Text>)]
    receivers: Vec<String>,
    #[diesel(sql_type = Timestamptz)]
    judged_at: PgTimestamp,
    #[diesel(sql_type = Nullable<BigInt>)]
    mark: Option<i64>,
    #[diesel(sql_type = Jsonb)]
    details: Value,
}

impl Row {
    fn alert(self) -> (String, String, Alert) {
        let alert = Alert {
            phase: Phase::of(&self.state),
            since: time(self.since),
            changed_at: time(self.changed_at),
            told_at: self.told_at.map(time),
            silenced: self.silenced,
            what: self.what,
            receivers: self.receivers,
            judged_at: time(self.judged_at),
            mark: self.mark,
            details: serde_json::from_value(self.details).unwrap_or_default(),
        };
        (self.rule, self.subject, alert)
    }
}

const SELECT: &str = "select rule, subject, state, since, changed_at, told_at, silenced, what, receivers, judged_at, mark, details from alerts";

/// Reads all known alerts.
pub(crate) fn read(connection: &mut PgConnection) -> Result<Known, StoreError> {
    let rows: Vec<Row> = sql_query(SELECT).load(connection)?;
    let mut known = Known::default();
    for (rule, subject, alert) in rows.into_iter().map(Row::alert) {
        known.entry(rule).or_default().insert(subject, alert);
    }
    Ok(known)
}

/// Reads the alerts that fire, the longest first.
pub(crate) fn firing(connection: &mut PgConnection) -> Result<Vec<(String, String, Alert)>, StoreError> {
    let rows: Vec<Row> =
        sql_query(format!("{SELECT} where state = 'firing' order by since, rule, subject")).load(connection)?;
    Ok(rows.into_iter().map(Row::alert).collect())
}

/// Writes the alerts that changed, and deletes those that are gone.
pub(crate) fn write(connection: &mut PgConnection, changes: &Changes) -> Result<(), StoreError> {
    if !changes.gone.is_empty() {
        let (rules, subjects): (Vec<&str>, Vec<&str>) =
            changes.gone.iter().map(|(rule, subject)| (rule.as_str(), subject.as_str())).unzip();
        sql_query(
            "delete from alerts a using unnest($1, $2) g(rule, subject)
             where a.key = md5(g.rule || chr(10) || g.subject)::uuid",
        )
        .bind::<Array<Text>, _>(rules)
        .bind::<Array<Text>, _>(subjects)
        .execute(connection)?;
    }
    if changes.alerts.is_empty() {
        return Ok(());
    }
    let alerts = &changes.alerts;
    let column = |of: fn(&(String, String, Alert)) -> &str| alerts.iter().map(of).collect::<Vec<_>>();
    let details: Vec<Value> = alerts.iter().map(|(_, _, alert)| json!(alert.details)).collect();
    sql_query(
        "insert into alerts
             (rule, subject, state, since, changed_at, told_at, silenced, mark, details, what, receivers, judged_at)
         select rule, subject, state, since, changed_at, told_at, silenced, mark, details, what,
                array(select jsonb_array_elements_text(receivers)), judged_at
         from unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             a(rule, subject, state, since, changed_at, told_at, silenced, mark, details, what, receivers, judged_at)
         on conflict (key) do update
         set state = excluded.state, since = excluded.since, changed_at = excluded.changed_at,
             told_at = excluded.told_at, silenced = excluded.silenced, mark = excluded.mark,
             details = excluded.details, what = excluded.what, receivers = excluded.receivers,
             judged_at = excluded.judged_at",
    )
    .bind::<Array<Text>, _>(column(|(rule, _, _)| rule))
    .bind::<Array<Text>, _>(column(|(_, subject, _)| subject))
    .bind::<Array<Text>, _>(column(|(_, _, alert)| alert.phase.as_str()))
    .bind::<Array<Timestamptz>, _>(alerts.iter().map(|(_, _, alert)| pg_time(alert.since)).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(alerts.iter().map(|(_, _, alert)| pg_time(alert.changed_at)).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(
        alerts.iter().map(|(_, _, alert)| alert.told_at.map(pg_time)).collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(alerts.iter().map(|(_, _, alert)| alert.silenced.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(alerts.iter().map(|(_, _, alert)| alert.mark).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(details)
    .bind::<Array<Text>, _>(column(|(_, _, alert)| alert.what.as_str()))
    // PostgreSQL has no array of lists with different lengths.
    .bind::<Array<Jsonb>, _>(alerts.iter().map(|(_, _, alert)| json!(alert.receivers)).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(alerts.iter().map(|(_, _, alert)| pg_time(alert.judged_at)).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
