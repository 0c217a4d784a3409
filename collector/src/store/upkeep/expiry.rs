//! Drops partitions that are past the retention. Before that, the ledger notes the numbers whose rows are deleted with
//! them.

use std::ops::Bound;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Multirange, Text};

use crate::store::db::error::{StoreError, describe};
use crate::store::ingest::transaction;
use crate::store::partitions::{Got, LOCK, Name, attach, attached, date_of, is_of_a_day, islands, name};
use crate::store::rollup::dropped;

/// Drops the partitions of the days before `oldest`. `sum_up` makes all summaries that are due. The ledger notes first
/// which numbers are deleted, so that a proof at any moment finds either the rows or this note.
pub(crate) fn expire(
    connection: &mut PgConnection,
    oldest: i64,
    sum_up: fn(&mut PgConnection) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
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
        // A mark stands for results that came between the summing up and the detaching. No result comes while this
        // session holds the lock.
        while is_due(connection, &day)? {
            attach(connection, &day)?;
            sum_up(connection)?;
            detach(connection, name, false)?;
        }
        connection.transaction(|connection| {
            dropped::note(connection, &day)?;
            connection.batch_execute(&format!("drop table if exists {name}")).map_err(StoreError::from)
        })?;
        log::info!(partition = name.as_str(); "dropped a partition that is past the retention");
        Ok(())
    });
    sql_query("select pg_advisory_unlock($1)").bind::<BigInt, _>(LOCK).execute(connection)?;
    outcome
}

/// Returns whether a day has results that are not summed up.
fn is_due(connection: &mut PgConnection, day: &str) -> Result<bool, StoreError> {
    let due: Got =
        sql_query("select exists (select from rollup_due where (hour at time zone 'UTC')::date = $1::date) as got")
            .bind::<Text, _>(day)
            .get_result(connection)?;
    Ok(due.got)
}

fn detach(connection: &mut PgConnection, name: &str, leaving: bool) -> Result<(), StoreError> {
    if !leaving {
        write_off(connection, name)?;
    }
    let how = if leaving { "finalize" } else { "concurrently" };
    connection
        .batch_execute(&format!("alter table results detach partition {name} {how}"))
        .map_err(|error| StoreError::Unavailable(describe(&error)))
}

/// Notes in the ledger which numbers are deleted with a partition. The partition is read before anything is locked,
/// because reading takes time and the agents of that day still run.
fn write_off(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
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
