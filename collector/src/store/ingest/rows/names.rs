//! Finds the ids of the agents, epochs and monitors that a batch needs. They are read from the database, and made where
//! they are new.
//!
//! New rows are inserted in a fixed order, agents by name and monitors by hash, each kind by a statement of its own,
//! and read back. So two collectors that meet the same new name at once both get the same id. Epochs are inserted in
//! the order of their agents' names. The epochs of one agent are inserted in the order in which it began them, as its
//! messages come, so the later epoch has the higher id.
//!
//! An epoch belongs to the agent that its own records name. Another epoch may name it first, as the epoch before or
//! because numbers of it were declared dropped. Until its own records arrive, it belongs to the agent of that other
//! epoch: an agent may be renamed in between.

use std::collections::BTreeMap;
use std::ops::Bound;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Multirange, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;
use wire::Content;

use crate::batch::{CheckResult, Entry};
use crate::store::db::error::{Statement, StoreError};
use crate::store::db::multirange::from_sql;
use crate::store::ingest::batch_plan::{NewResult, number};
use crate::store::ingest::ledger_cache::{Epoch, LedgerCache, Monitor, definition};

/// The number of ranges in the ledger of one epoch above which batches become slow.
const MANY_HOLES: usize = 1_000;

#[derive(QueryableByName)]
struct EpochRow {
    #[diesel(sql_type = Integer)]
    epoch_id: i32,
    #[diesel(sql_type = SqlUuid)]
    epoch: Uuid,
    #[diesel(sql_type = Bool)]
    is_named: bool,
    #[diesel(sql_type = Multirange<BigInt>)]
    accounted: Vec<(Bound<i64>, Bound<i64>)>,
}

/// Epochs that are not known yet, or whose agent is not known yet.
type Wanted<'a> = BTreeMap<Uuid, Naming<'a>>;

/// The agent of an epoch.
#[derive(Clone, Copy)]
struct Naming<'a> {
    /// How many epochs came before it in the batch.
    before: i64,
    agent: &'a str,
    /// Whether the epoch's own records name this agent.
    is_own: bool,
}

/// Makes sure that the cache has every epoch that these entries name.
pub(crate) fn learn_epochs(
    connection: &mut PgConnection,
    cache: &mut LedgerCache,
    entries: &[Entry<'_>],
) -> Result<(), StoreError> {
    let mut wanted = wanted(cache, entries);
    if wanted.is_empty() {
        return Ok(());
    }
    read_epochs(connection, cache, &mut wanted)?;
    if !wanted.is_empty() {
        make_epochs(connection, &wanted)?;
        read_epochs(connection, cache, &mut wanted)?;
    }
    match wanted.keys().next() {
        None => Ok(()),
        Some(epoch) => Err(StoreError::Unavailable(format!("epoch {epoch} vanished while it was made"))),
    }
}

fn wanted<'a>(cache: &LedgerCache, entries: &'a [Entry<'_>]) -> Wanted<'a> {
    let mut wanted = Wanted::new();
    let mut last = None;
    for entry in entries {
        for_each_epoch(entry, |epoch, agent, is_own| {
            if last == Some((epoch, is_own)) {
                return;
            }
            last = Some((epoch, is_own));
            if cache.is_named(&epoch) || !is_own && cache.epoch_id(&epoch).is_some() {
                return;
            }
            let before = number(wanted.len() as u64);
            let naming = wanted.entry(epoch).or_insert(Naming { before, agent, is_own });
            if is_own && !naming.is_own {
                (naming.agent, naming.is_own) = (agent, true);
            }
        });
    }
    wanted
}

/// Calls `each` with the epochs that an entry names, and its agent: the epochs whose numbers it declares dropped, the epoch
/// before, and last its own epoch.
pub(crate) fn for_each_epoch<'a>(entry: &'a Entry<'_>, mut each: impl FnMut(Uuid, &'a str, bool)) {
    match entry.decoded() {
        Ok(record) => {
            let agent: &str = &record.agent;
            match &record.content {
                Content::Result(_) => {}
                Content::Dropped(dropped) => dropped.ranges.iter().for_each(|range| each(range.epoch, agent, false)),
                Content::Agent(report) => report.previous.iter().for_each(|before| each(before.epoch, agent, false)),
            }
            each(record.epoch, agent, true);
        }
        Err(rejection) => rejection.number.iter().for_each(|number| each(number.epoch, &number.agent, true)),
    }
}

fn read_epochs(
    connection: &mut PgConnection,
    cache: &mut LedgerCache,
    wanted: &mut Wanted<'_>,
) -> Result<(), StoreError> {
    let rows: Vec<EpochRow> =
        sql_query("select epoch_id, epoch, is_named, accounted from epochs where epoch = any($1)")
            .bind::<Array<SqlUuid>, _>(wanted.keys().copied().collect::<Vec<_>>())
            .load(connection)?;
    cache.learn_epochs(rows.into_iter().map(|row| {
        if row.is_named || wanted.get(&row.epoch).is_some_and(|naming| !naming.is_own) {
            wanted.remove(&row.epoch);
        }
        let accounted = from_sql(row.accounted);
        if accounted.parts().len() > MANY_HOLES {
            log::warn!(epoch:% = row.epoch, ranges = accounted.parts().len(); "the ledger of an epoch has many holes");
        }
        (row.epoch, Epoch { id: row.epoch_id, is_named: row.is_named, accounted })
    }));
    Ok(())
}

/// Makes epochs. An epoch that was made because another epoch names it is given to the agent that its own records name.
fn make_epochs(connection: &mut PgConnection, wanted: &Wanted<'_>) -> Result<(), StoreError> {
    let of_records = |error| StoreError::of(error, Statement::Records);
    let agents: Vec<&str> = wanted.values().map(|naming| naming.agent).collect();
    sql_query(
        "insert into agents (name)
         select distinct d.name from unnest($1) d(name)
         where not exists (select from agents a where a.name = d.name)
         order by 1 on conflict do nothing",
    )
    .bind::<Array<Text>, _>(&agents)
    .execute(connection)
    .map_err(of_records)?;
    sql_query(
        "insert into epochs (epoch, agent_id, is_named)
         select d.epoch, a.agent_id, d.is_own
         from unnest($1, $2, $3, $4) d(epoch, agent, before, is_own) join agents a on a.name = d.agent
         order by d.agent, d.before on conflict do nothing",
    )
    .bind::<Array<SqlUuid>, _>(wanted.keys().copied().collect::<Vec<_>>())
    .bind::<Array<Text>, _>(&agents)
    .bind::<Array<BigInt>, _>(wanted.values().map(|naming| naming.before).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(wanted.values().map(|naming| naming.is_own).collect::<Vec<_>>())
    .execute(connection)
    .map_err(of_records)?;
    let own = || wanted.iter().filter(|(_, naming)| naming.is_own);
    sql_query(
        "update epochs e set agent_id = a.agent_id, is_named = true
         from unnest($1, $2) d(epoch, agent) join agents a on a.name = d.agent
         where e.epoch = d.epoch and not e.is_named",
    )
    .bind::<Array<SqlUuid>, _>(own().map(|(epoch, _)| *epoch).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(own().map(|(_, naming)| naming.agent).collect::<Vec<_>>())
    .execute(connection)
    .map_err(|error| StoreError::of(error, Statement::Lock))?;
    Ok(())
}

#[derive(QueryableByName)]
struct MonitorRow {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = SqlUuid)]
    hash: Uuid,
    #[diesel(sql_type = BigInt)]
    ordinal: i64,
}

/// Returns the monitors that these results name, one for each result.
pub(crate) fn monitors(
    connection: &mut PgConnection,
    cache: &mut LedgerCache,
    results: &[NewResult<'_>],
) -> Result<Vec<Monitor>, StoreError> {
    let mut wanted: BTreeMap<Vec<u8>, &CheckResult<'_>> = BTreeMap::new();
    let mut key = Vec::new();
    let mut monitors = Vec::with_capacity(results.len());
    for new_result in results {
        definition(new_result.result, &mut key);
        match cache.monitor(&key) {
            Some(monitor) => monitors.push(monitor),
            None if wanted.contains_key(&key) => {}
            None => drop(wanted.insert(key.clone(), new_result.result)),
        }
    }
    if wanted.is_empty() {
        return Ok(monitors);
    }
    learn_monitors(connection, cache, wanted)?;
    let monitor = |new_result: &NewResult<'_>| {
        definition(new_result.result, &mut key);
        let nameless = || StoreError::Refused(format!("monitor {} has no id", new_result.result.monitor));
        cache.monitor(&key).ok_or_else(nameless)
    };
    results.iter().map(monitor).collect()
}

fn learn_monitors(
    connection: &mut PgConnection,
    cache: &mut LedgerCache,
    wanted: BTreeMap<Vec<u8>, &CheckResult<'_>>,
) -> Result<(), StoreError> {
    let (definitions, results): (Vec<Vec<u8>>, Vec<&CheckResult<'_>>) = wanted.into_iter().unzip();
    let columns = || {
        let texts = |of: for<'a> fn(&'a CheckResult<'_>) -> &'a str| -> Vec<&str> {
            results.iter().map(|result| of(result)).collect()
        };
        let patterns: Vec<_> = results.iter().map(|result| result.pattern.as_deref()).collect();
        (texts(|result| &result.monitor), texts(|result| &result.name), texts(|result| &result.url), patterns)
    };
    let of_records = |error| StoreError::of(error, Statement::Records);
    let (ids, names, urls, patterns) = columns();
    sql_query(
        "insert into monitors (id, name, url, pattern, hash)
         select d.*, h.hash
         from unnest($1, $2, $3, $4) d(id, name, url, pattern),
              lateral (select monitor_hash(d.id, d.name, d.url, d.pattern)) h(hash)
         where not exists (select from monitors m where m.hash = h.hash)
         order by h.hash on conflict do nothing",
    )
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Text>, _>(names)
    .bind::<Array<Text>, _>(urls)
    .bind::<Array<Nullable<Text>>, _>(patterns)
    .execute(connection)
    .map_err(of_records)?;
    let (ids, names, urls, patterns) = columns();
    let rows: Vec<MonitorRow> = sql_query(
        "select m.monitor_id, m.hash, d.ordinal
         from unnest($1, $2, $3, $4) with ordinality d(id, name, url, pattern, ordinal)
         join monitors m on m.hash = monitor_hash(d.id, d.name, d.url, d.pattern)
          and (m.id, m.name, m.url) = (d.id, d.name, d.url) and m.pattern is not distinct from d.pattern",
    )
    .bind::<Array<Text>, _>(ids)
    .bind::<Array<Text>, _>(names)
    .bind::<Array<Text>, _>(urls)
    .bind::<Array<Nullable<Text>>, _>(patterns)
    .load(connection)
    .map_err(of_records)?;
    if rows.len() != definitions.len() {
        return Err(StoreError::Refused("another monitor has the same hash".into()));
    }
    for row in rows {
        let index = usize::try_from(row.ordinal - 1).unwrap_or_default();
        cache.learn_monitor(definitions[index].clone(), Monitor { id: row.monitor_id, hash: row.hash });
    }
    Ok(())
}
