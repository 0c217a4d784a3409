//! Makes one partition of `results` for each day of UTC: for the days ahead, and on demand for late results. Upkeep
//! drops the partitions that are past the retention.
//!
//! A partition is made as a table of its own and then attached, which blocks no writer. To create it with `partition
//! of`, or to drop a partition that is attached, would block all writers. Collectors agree by an advisory lock. Any
//! role may make a partition, by a function that has the rights of the tables' owner. Only the owner drops one.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Bool, Text};
use jiff::Timestamp;

use super::db::error::{Statement, StoreError};

/// The key of the advisory lock that is held while partitions are made or dropped.
pub(crate) const LOCK: i64 = 70_316_262_735;

/// The partitions that are known to be there.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    known: BTreeSet<i64>,
}

#[derive(QueryableByName)]
pub(crate) struct Name {
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
}

#[derive(QueryableByName)]
pub(crate) struct Got {
    #[diesel(sql_type = Bool)]
    pub(crate) got: bool,
}

/// Returns the name of a day's partition, such as `results_20261124`.
pub(crate) fn name(day: i64) -> String {
    format!("results_{}", date(day).replace('-', ""))
}

/// Returns a day as SQL writes it, such as `2026-11-24`.
pub(crate) fn date(day: i64) -> String {
    let at = Timestamp::from_second(day.saturating_mul(86_400)).unwrap_or(Timestamp::MAX);
    at.to_string().chars().take(10).collect()
}

/// Returns whether a table has the name of a day's partition. The collector must not drop other tables.
pub(crate) fn is_of_a_day(table: &str) -> bool {
    table.strip_prefix("results_").is_some_and(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Partitions {
    /// Forgets which partitions are there.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// Makes the partitions of these days where they are absent.
    pub(crate) fn ensure(&mut self, connection: &mut PgConnection, days: &BTreeSet<i64>) -> Result<(), StoreError> {
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

/// Returns the attached partitions by name, and whether each one is being detached.
pub(crate) fn attached(connection: &mut PgConnection) -> Result<BTreeMap<String, bool>, StoreError> {
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

/// Makes a partition by a function that has the rights of the tables' owner. The collector's own role may lack them.
fn make(connection: &mut PgConnection, day: i64) -> Result<(), StoreError> {
    if attach(connection, &date(day))? {
        log::info!(partition = name(day).as_str(); "made a partition");
    }
    Ok(())
}

/// Makes a day's partition, or attaches it again, where it is not attached. Returns whether it was not.
pub(crate) fn attach(connection: &mut PgConnection, date: &str) -> Result<bool, StoreError> {
    let made: Got = sql_query("select make_results_partition($1::date) as got")
        .bind::<Text, _>(date)
        .get_result(connection)
        .map_err(|error| StoreError::of(error, Statement::Lock))?;
    Ok(made.got)
}

/// Returns the day of a partition as SQL writes it.
pub(crate) fn date_of(name: &str) -> Option<String> {
    let day = name.strip_prefix("results_")?;
    Some(format!("{}-{}-{}", day.get(..4)?, day.get(4..6)?, day.get(6..8)?))
}

/// Returns a query for the numbers in a table of results. Consecutive numbers become one row: `epoch_id, first, last,
/// rows`.
pub(crate) fn islands(table: &str) -> String {
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
