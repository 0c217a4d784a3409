//! One partition of `results` per UTC day: made for the days ahead, and on demand for late results; dropped when
//! past the retention.
//!
//! A partition is made as a table of its own and then attached, which blocks no writer; `partition of`, and a drop
//! of an attached one, would stall them all. Collectors agree by an advisory lock. Any role may make one, by a
//! function of the tables' owner; only the owner drops one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Multirange, Text};
use jiff::Timestamp;

use super::rollup::dropped;
use super::transaction;
use super::trouble::{Statement, Trouble, describe};

/// The key of the advisory lock under which partitions come and go.
const LOCK: i64 = 70_316_262_735;

/// The partitions that are known to be there.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    known: BTreeSet<i64>,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Got {
    #[diesel(sql_type = Bool)]
    got: bool,
}

/// The name of a day's partition: `results_20261124`.
pub(super) fn name(day: i64) -> String {
    format!("results_{}", date(day).replace('-', ""))
}

/// A day as SQL writes it: `2026-11-24`.
fn date(day: i64) -> String {
    let at = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::MAX);
    at.to_string().chars().take(10).collect()
}

/// Whether a table is named as the partition of a day: others are not ours to drop.
fn is_of_a_day(table: &str) -> bool {
    table.strip_prefix("results_").is_some_and(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Partitions {
    /// Forgets what is there.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// Makes the partitions of these days where they are absent.
    pub(super) fn ensure(&mut self, connection: &mut PgConnection, days: &BTreeSet<i64>) -> Result<(), Trouble> {
        if days.is_subset(&self.known) {
            return Ok(());
        }
        let there = attached(connection)?;
        for &day in days {
            if !there.contains_key(&name(day)) {
                make(connection, day)?;
            }
            self.known.insert(day);
        }
        Ok(())
    }
}

/// The attached partitions by name; whether one is being detached.
fn attached(connection: &mut PgConnection) -> Result<BTreeMap<String, bool>, Trouble> {
    #[derive(QueryableByName)]
    struct Partition {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Bool)]
        leaving: bool,
    }
    let partitions: Vec<Partition> = sql_query(
        "select c.relname::text as name, i.inhdetachpending as leaving
         from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'results'::regclass",
    )
    .load(connection)?;
    Ok(partitions.into_iter().map(|partition| (partition.name, partition.leaving)).collect())
}

/// By a function with the rights of the tables' owner, which the collector's role may lack.
fn make(connection: &mut PgConnection, day: i64) -> Result<(), Trouble> {
    if attach(connection, &date(day))? {
        log::info!(partition = name(day).as_str(); "made a partition");
    }
    Ok(())
}

/// Has a day's partition be there, made or attached again; whether it was not.
fn attach(connection: &mut PgConnection, date: &str) -> Result<bool, Trouble> {
    let made: Got = sql_query("select make_results_partition($1::date) as got")
        .bind::<Text, _>(date)
        .get_result(connection)
        .map_err(|error| Trouble::of(error, Statement::Lock))?;
    Ok(made.got)
}

/// The day of a partition as SQL writes it.
fn date_of(name: &str) -> Option<String> {
    let day = name.strip_prefix("results_")?;
    Some(format!("{}-{}-{}", day.get(..4)?, day.get(4..6)?, day.get(6..8)?))
}

/// Drops the partitions of the days before `oldest`. `sum_up` makes all summaries that are due. The ledger learns
/// first which numbers go, so that a proof at any moment finds either the rows or that word.
pub(super) fn expire(
    connection: &mut PgConnection,
    oldest: i64,
    sum_up: fn(&mut PgConnection) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let keep_from = name(oldest);
    let is_past = |name: &str| is_of_a_day(name) && name < keep_from.as_str();
    let past: Vec<(String, bool)> = attached(connection)?.into_iter().filter(|(name, _)| is_past(name)).collect();
    let left: Vec<Name> = sql_query(
        "select c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = current_schema() and c.relkind = 'r' and not c.relispartition",
    )
    .load(connection)?;
    let left: Vec<String> = left.into_iter().map(|left| left.name).filter(|name| is_past(name)).collect();
    if past.is_empty() && left.is_empty() {
        return Ok(());
    }
    let owner: Got =
        sql_query("select pg_has_role(relowner, 'usage') as got from pg_class where oid = 'results'::regclass")
            .get_result(connection)?;
    if !owner.got {
        log::warn!(
            partitions = past.len() + left.len();
            "partitions past the retention stay, since database.user doesn't own them: run `website-monitor-collector \
             upkeep` daily as their owner"
        );
        return Ok(());
    }
    let got: Got =
        sql_query("select pg_try_advisory_lock($1) as got").bind::<BigInt, _>(LOCK).get_result(connection)?;
    if !got.got {
        return Ok(());
    }
    let detached =
        left.iter().map(|name| (name, None)).chain(past.iter().map(|(name, leaving)| (name, Some(*leaving))));
    let outcome = detached.into_iter().try_for_each(|(name, leaving)| {
        if let Some(leaving) = leaving {
            detach(connection, name, leaving)?;
        }
        let Some(day) = date_of(name) else { return Ok(()) };
        // Results that came between the summing up and the detaching. None comes while this has the lock.
        while is_due(connection, &day)? {
            attach(connection, &day)?;
            sum_up(connection)?;
            detach(connection, name, false)?;
        }
        connection.transaction(|connection| {
            dropped::note(connection, &day)?;
            connection.batch_execute(&format!("drop table if exists {name}")).map_err(Trouble::from)
        })?;
        log::info!(partition = name.as_str(); "dropped a partition that is past the retention");
        Ok(())
    });
    sql_query("select pg_advisory_unlock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
    outcome
}

/// Whether results of a day are not summed up.
fn is_due(connection: &mut PgConnection, day: &str) -> Result<bool, Trouble> {
    let due: Got =
        sql_query("select exists (select from rollup_due where (hour at time zone 'UTC')::date = $1::date) as got")
            .bind::<Text, _>(day)
            .get_result(connection)?;
    Ok(due.got)
}

fn detach(connection: &mut PgConnection, name: &str, leaving: bool) -> Result<(), Trouble> {
    if !leaving {
        write_off(connection, name)?;
    }
    let how = if leaving { "finalize" } else { "concurrently" };
    connection
        .batch_execute(&format!("alter table results detach partition {name} {how}"))
        .map_err(|error| Trouble::Unavailable(describe(&error)))
}

/// Tells the ledger which numbers go with a partition. It is read before anything is locked: that takes its time, and
/// the agents of long ago still run.
fn write_off(connection: &mut PgConnection, name: &str) -> Result<(), Trouble> {
    #[derive(QueryableByName)]
    struct Gone {
        #[diesel(sql_type = Integer)]
        epoch_id: i32,
        #[diesel(sql_type = Multirange<BigInt>)]
        numbers: Vec<(Bound<i64>, Bound<i64>)>,
    }
    let gone: Vec<Gone> = sql_query(format!(
        "select epoch_id, range_agg(int8range(first, last, '[]')) as numbers from ({}) islands group by 1",
        islands(name)
    ))
    .load(connection)?;
    let (epoch_ids, numbers): (Vec<i32>, Vec<_>) = gone.into_iter().map(|gone| (gone.epoch_id, gone.numbers)).unzip();
    connection.transaction(|connection| {
        drop(transaction::lock(connection, &epoch_ids)?);
        sql_query(
            "update epochs e set expired = e.expired + d.numbers
             from unnest($1, $2) d(epoch_id, numbers) where e.epoch_id = d.epoch_id",
        )
        .bind::<Array<Integer>, _>(&epoch_ids)
        .bind::<Array<Multirange<BigInt>>, _>(numbers)
        .execute(connection)?;
        Ok(())
    })
}

/// A query for the numbers in a table of results, dense ones as one row: `epoch_id, first, last, rows`.
pub(super) fn islands(table: &str) -> String {
    format!(
        "select epoch_id, min(seq) as first, max(seq) as last, count(*) as rows
         from (select epoch_id, seq, seq - dense_rank() over (partition by epoch_id order by seq) as island
               from {table}) s
         group by epoch_id, island"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_named_by_its_day() {
        assert_eq!(name(0), "results_19700101");
        assert_eq!(name(20_000), "results_20241004");
        assert_eq!(date(20_001), "2024-10-05");
        assert_eq!(date_of(&name(20_001)), Some(date(20_001)));
        assert!(is_of_a_day(&name(20_000)));
        assert!(["archive_20200101", "results_2020_101", "Results_20200101"].iter().all(|table| !is_of_a_day(table)));
    }
}
