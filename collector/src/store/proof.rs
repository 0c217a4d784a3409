//! Reads what the tables say about each epoch, all of it at one moment.

use std::collections::BTreeMap;
use std::ops::Bound;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Multirange, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use jiff::Timestamp;
use uuid::Uuid;

use super::db::connections::Connections;
use super::db::error::StoreError;
use super::db::migrate;
use super::partitions::islands;
use crate::config::Database;
use crate::ranges::Ranges;
use crate::store::db::multirange::from_sql;
use crate::store::db::time::pg_time;
use crate::unavailable::Unavailable;

/// An epoch as the tables have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochFacts {
    /// The epoch.
    pub epoch: Uuid,
    /// The agent whose run the epoch is.
    pub agent: String,
    /// The epoch before this one, and the highest number that the epoch before had issued, as this epoch knows it.
    pub previous: Option<(Uuid, i64)>,
    /// The highest number that a report, or the next epoch, says was issued.
    pub claimed: i64,
    /// The numbers that arrived.
    pub accounted: Ranges,
    /// The numbers of messages that were set aside.
    pub rejected: Ranges,
    /// The numbers of records that are no results.
    pub notices: Ranges,
    /// The numbers that were declared dropped.
    pub dropped: Ranges,
    /// The numbers whose rows are past the retention.
    pub expired: Ranges,
    /// The numbers that have a row.
    pub rows: Ranges,
    /// How many more rows than numbers there are.
    pub duplicates: i64,
    /// The number of the latest report.
    pub report_seq: Option<i64>,
    /// When its first report and its latest one were stored, in microseconds by the database's clock.
    pub heard: (i64, i64),
    /// The epoch and the number of the record that had waited longest in the outbox, as the latest report says.
    pub oldest_pending: Option<(Uuid, i64)>,
    /// The number of the latest report, if that report says that the agent stopped cleanly.
    pub stopped_at: Option<i64>,
    /// Whether its agent is retired.
    pub is_retired: bool,
    /// Whether the epoch was not asked for. It is only here for what it says about other epochs, and its rows were not
    /// read.
    pub is_aside: bool,
}

type SqlRanges = Vec<(Bound<i64>, Bound<i64>)>;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = SqlUuid)]
    epoch: Uuid,
    #[diesel(sql_type = Text)]
    agent: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    previous: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    previous_highest: Option<i64>,
    #[diesel(sql_type = BigInt)]
    claimed: i64,
    #[diesel(sql_type = Multirange<BigInt>)]
    accounted: SqlRanges,
    #[diesel(sql_type = Multirange<BigInt>)]
    rejected: SqlRanges,
    #[diesel(sql_type = Multirange<BigInt>)]
    notices: SqlRanges,
    #[diesel(sql_type = Multirange<BigInt>)]
    dropped: SqlRanges,
    #[diesel(sql_type = Multirange<BigInt>)]
    expired: SqlRanges,
    #[diesel(sql_type = Nullable<BigInt>)]
    report_seq: Option<i64>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    first_heard_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    heard_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    oldest_epoch: Option<Uuid>,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest_seq: Option<i64>,
    #[diesel(sql_type = Bool)]
    is_stopped: bool,
    #[diesel(sql_type = Bool)]
    is_retired: bool,
    #[diesel(sql_type = Bool)]
    is_asked: bool,
}

#[derive(QueryableByName)]
struct Island {
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = BigInt)]
    first: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// The choice of the epochs whose rows are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only epochs that were first or last heard of since this time, or that have a later result.
    pub since: Option<Timestamp>,
    /// Only epochs of these agents. An empty list means all agents.
    pub agents: Vec<String>,
}

/// Reads all epochs, in the order of their agents' names and then from the oldest to the newest, with the rows of the
/// epochs that are asked for. Also returns how many rows belong to no epoch. This number is known only when all epochs
/// are asked for, and otherwise it is 0.
///
/// # Errors
/// Returns why the database can't be read.
pub fn read_facts(database: &Database, scope: &Scope) -> Result<(Vec<EpochFacts>, i64), Unavailable> {
    let mut session = Connections::new(database).get_for_command()?;
    migrate::check(&mut session, &database.schema)?;
    let (epochs, islands) = session.build_transaction().repeatable_read().read_only().run(|connection| {
        let epochs: Vec<Row> = sql_query(
            "select e.epoch_id, e.epoch, a.name as agent, e.previous, e.previous_highest, e.claimed, e.accounted,
                        e.rejected, e.notices, e.dropped, e.expired, e.report_seq, e.first_heard_at, e.heard_at,
                        e.oldest_epoch, e.oldest_seq, e.ended_at is not null as is_stopped,
                        r.agent_id is not null as is_retired,
                        ($1 or a.name = any($2)) and ($3 is null or e.first_seen >= $3 or coalesce(e.reported_at >= $3, false)
                            or e.epoch_id in (select r.epoch_id from results r where r.checked_at >= $3)) as is_asked
                 from epochs e join agents a using (agent_id) left join retired_agents() r using (agent_id) order by a.name, e.first_seen, e.epoch_id",
        )
        .bind::<Bool, _>(scope.agents.is_empty())
        .bind::<Array<Text>, _>(&scope.agents)
        .bind::<Nullable<Timestamptz>, _>(scope.since.map(pg_time))
        .load(connection)?;
        let islands: Vec<Island> = match *scope == Scope::default() {
            true => sql_query(islands("results")).load(connection)?,
            false => sql_query(islands("(select epoch_id, seq from results where epoch_id = any($1)) asked"))
                .bind::<Array<Integer>, _>(
                    epochs.iter().filter(|epoch| epoch.is_asked).map(|epoch| epoch.epoch_id).collect::<Vec<_>>(),
                )
                .load(connection)?,
        };
        Ok::<_, StoreError>((epochs, islands))
    })?;
    let mut rows: BTreeMap<i32, (Vec<(i64, i64)>, i64)> = BTreeMap::new();
    for Island { epoch_id, first, last, rows: count } in islands {
        let (parts, duplicates) = rows.entry(epoch_id).or_default();
        parts.push((first, last + 1));
        *duplicates += count - (last + 1 - first);
    }
    let heard = |at: Option<PgTimestamp>| at.map_or(0, |at| at.0);
    let facts: Vec<EpochFacts> = epochs
        .into_iter()
        .map(|row| {
            let (parts, duplicates) = rows.remove(&row.epoch_id).unwrap_or_default();
            EpochFacts {
                epoch: row.epoch,
                agent: row.agent,
                previous: row.previous.zip(row.previous_highest),
                claimed: row.claimed,
                accounted: from_sql(row.accounted),
                rejected: from_sql(row.rejected),
                notices: from_sql(row.notices),
                dropped: from_sql(row.dropped),
                expired: from_sql(row.expired),
                rows: Ranges::from_parts(parts),
                duplicates,
                report_seq: row.report_seq,
                heard: (heard(row.first_heard_at), heard(row.heard_at)),
                oldest_pending: row.oldest_epoch.zip(row.oldest_seq),
                stopped_at: row.report_seq.filter(|_| row.is_stopped),
                is_retired: row.is_retired,
                is_aside: !row.is_asked,
            }
        })
        .collect();
    let of_none = |(parts, more): (Vec<(i64, i64)>, i64)| Ranges::from_parts(parts).count() + more;
    Ok((facts, rows.into_values().map(of_none).sum()))
}
