//! Reads and writes blocks: summaries of hours and days, packed as the status pages read them. A block has all that
//! there is of 512 monitors in one value.
//!
//! ```text
//! hourly ─┬─▶ rollup::blocks ──┬─▶ summary_blocks ─▶ queries::summaries
//! daily  ─┘    packs what is over
//! results ──▶ rollup::running ─┘
//!              packs the begin of an hour that goes on
//! ```
//! A block is a copy, and the tables make sure that it is never out of date: each change of a summary deletes its block
//! in the same transaction. Where there is no block, or one that another version wrote, the rows are read.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Multirange, Nullable, SmallInt, Timestamptz};
use serde::{Deserialize, Serialize};

use super::db::error::StoreError;
use crate::ranges::Ranges;
use crate::store::db::multirange::to_sql;

/// The number of the format of blocks. It must change whenever `Block` changes.
pub(crate) const FORMAT: i16 = 1;

/// The largest number of summaries that are packed. More of them would take much memory, and so would a page that shows
/// them. In this case the block is empty and ends at its begin, and the rows are read.
pub(crate) const MOST: usize = 50_000;

/// The number of monitors in a block. The function `summary_block` of the tables has the same number.
const MONITORS: i32 = 512;

/// An hour in microseconds, as the database counts time.
pub(crate) const HOUR: i64 = 3_600_000_000;

/// The time that a summary covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Hour,
    Day,
}

/// A row of `hourly` or `daily`, as far as pages show it.
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct Summary {
    #[diesel(embed)]
    pub(crate) arrival: Arrival,
    #[diesel(sql_type = BigInt)]
    response_time_sum_us: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    response_time_max_us: Option<i64>,
    #[diesel(sql_type = Array<Integer>)]
    response_times: Vec<i32>,
}

/// The summaries of one hour or day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// The counts of checks, by monitor and agent.
    pub(crate) arrivals: Vec<Arrival>,
    /// The response times by monitor, over all agents. Only monitors that answered are in it.
    pub(crate) times: Vec<Times>,
}

/// What arrived of a monitor from an agent in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, QueryableByName, Serialize, Deserialize)]
pub(crate) struct Arrival {
    #[diesel(sql_type = Integer)]
    pub(crate) monitor_id: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) agent_id: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) checks: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) success: i32,
    #[diesel(sql_type = Integer)]
    pub(crate) agent_error: i32,
}

/// The response times of a monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    pub(crate) monitor_id: i32,
    pub(crate) sum_us: i64,
    pub(crate) max_us: i64,
    /// The number of each bucket, from 0, and its count. Empty buckets are left out.
    pub(crate) buckets: Vec<(u8, i64)>,
}

/// A block, and the time and the monitors that it covers.
pub(crate) struct Stored {
    pub(crate) begins: PgTimestamp,
    /// The first moment that is not in the block.
    pub(crate) until: PgTimestamp,
    pub(crate) block: i32,
    /// The ids of the monitors that are in the block, if there is anything of them.
    pub(crate) monitors: Ranges,
    pub(crate) content: Block,
}

impl Span {
    pub(crate) fn is_day(self) -> bool {
        self == Span::Day
    }

    /// Returns the end of the hour or day that begins at this time.
    pub(crate) fn end(self, begins: PgTimestamp) -> PgTimestamp {
        PgTimestamp(begins.0 + if self.is_day() { 24 * HOUR } else { HOUR })
    }

    /// Returns the table, and its column of times.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Span::Hour => ("hourly", "hour"),
            Span::Day => ("daily", "day"),
        }
    }
}

/// Returns the ids of the monitors of a block.
pub(crate) fn monitors(block: i32) -> Ranges {
    let first = i64::from(block) * i64::from(MONITORS);
    Ranges::span(first, first + i64::from(MONITORS) - 1)
}

/// The columns that are read of a summary.
const COLUMNS: &str = "s.monitor_id, s.agent_id, s.checks, s.success, s.agent_error, s.response_time_sum_us,
                s.response_time_max_us, s.response_times";

/// Returns the rows of these monitors that begin at this time, at most `most` of them. The rows are looked up monitor
/// by monitor. To find an hour among the rows of two years takes longer when they do not lie in the order of time, and
/// that order is not certain.
pub(crate) fn rows(
    connection: &mut PgConnection,
    span: Span,
    begins: PgTimestamp,
    monitors: &Ranges,
    most: Option<usize>,
) -> Result<Vec<Summary>, StoreError> {
    let (table, begin) = span.source();
    let query = format!(
        "select {COLUMNS}
         from monitors m
         cross join lateral (select * from {table} r where r.monitor_id = m.monitor_id and r.{begin} = $1 offset 0) s
         where $2 @> m.monitor_id::bigint limit $3"
    );
    Ok(sql_query(query)
        .bind::<Timestamptz, _>(begins)
        .bind::<Multirange<BigInt>, _>(to_sql(monitors))
        .bind::<Nullable<BigInt>, _>(bound(most))
        .load(connection)?)
}

/// Returns the same summaries, made from the results of an hour. The results of each monitor are read from its own time
/// on, up to a time in that hour or its end.
pub(crate) fn results(
    connection: &mut PgConnection,
    monitors: &[(i32, PgTimestamp)],
    until: PgTimestamp,
    most: Option<usize>,
) -> Result<Vec<Summary>, StoreError> {
    let (ids, since): (Vec<i32>, Vec<PgTimestamp>) = monitors.iter().copied().unzip();
    Ok(sql_query(format!("select {COLUMNS} from aggregate_results($1, $2, $3) s limit $4"))
        .bind::<Array<Integer>, _>(ids)
        .bind::<Array<Timestamptz>, _>(since)
        .bind::<Array<Timestamptz>, _>(vec![until; monitors.len()])
        .bind::<Nullable<BigInt>, _>(bound(most))
        .load(connection)?)
}

fn bound(most: Option<usize>) -> Option<i64> {
    most.map(|most| i64::try_from(most).unwrap_or(i64::MAX))
}

/// Returns the blocks of these times. They are unpacked one after the other, because all of them at once would take
/// much memory.
pub(crate) fn read(
    connection: &mut PgConnection,
    span: Span,
    begins: &[PgTimestamp],
) -> Result<impl Iterator<Item = Stored> + use<>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        begins: PgTimestamp,
        #[diesel(sql_type = Timestamptz)]
        until: PgTimestamp,
        #[diesel(sql_type = Integer)]
        block: i32,
        #[diesel(sql_type = Binary)]
        content: Vec<u8>,
    }
    let rows: Vec<Row> = sql_query(
        "select begins, until, block, content from summary_blocks where is_day = $1 and begins = any($2) and format = $3",
    )
    .bind::<Bool, _>(span.is_day())
    .bind::<Array<Timestamptz>, _>(begins)
    .bind::<SmallInt, _>(FORMAT)
    .load(connection)?;
    let stored = |row: Row| {
        // A block that can't be read counts as absent.
        let content = postcard::from_bytes(&row.content).ok()?;
        Some(Stored { begins: row.begins, until: row.until, block: row.block, monitors: monitors(row.block), content })
    };
    Ok(rows.into_iter().filter_map(stored))
}

/// Writes a block of what arrived before `until`. It replaces a block that is there.
pub(crate) fn write(
    connection: &mut PgConnection,
    span: Span,
    begins: PgTimestamp,
    until: PgTimestamp,
    block: i32,
    content: &Block,
) -> Result<(), StoreError> {
    sql_query(
        "insert into summary_blocks (is_day, begins, block, until, format, content) values ($1, $2, $3, $4, $5, $6)
         on conflict (is_day, begins, block) do update
         set until = excluded.until, format = excluded.format, content = excluded.content, packed_at = now()",
    )
    .bind::<Bool, _>(span.is_day())
    .bind::<Timestamptz, _>(begins)
    .bind::<Integer, _>(block)
    .bind::<Timestamptz, _>(until)
    .bind::<SmallInt, _>(FORMAT)
    .bind::<Binary, _>(content.packed()?)
    .execute(connection)?;
    Ok(())
}

impl Block {
    /// Returns the block as it is stored.
    pub(crate) fn packed(&self) -> Result<Vec<u8>, StoreError> {
        postcard::to_allocvec(self).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// Makes a block of counts and response times, in any order and any number of parts.
    pub(crate) fn of(mut arrivals: Vec<Arrival>, mut times: Vec<Times>) -> Block {
        arrivals.sort_by_key(|it| (it.monitor_id, it.agent_id));
        times.sort_by_key(|it| it.monitor_id);
        let mut block = Block::default();
        for it in arrivals {
            match block.arrivals.last_mut() {
                Some(last) if (last.monitor_id, last.agent_id) == (it.monitor_id, it.agent_id) => last.add(&it),
                _ => block.arrivals.push(it),
            }
        }
        for it in times {
            match block.times.last_mut() {
                Some(last) if last.monitor_id == it.monitor_id => last.add(&it),
                _ => block.times.push(it),
            }
        }
        block
    }
}

impl Arrival {
    fn add(&mut self, other: &Arrival) {
        self.checks += other.checks;
        self.success += other.success;
        self.agent_error += other.agent_error;
    }
}

impl Summary {
    /// Returns the response times, or `None` when there was no answer.
    pub(crate) fn times(&self) -> Option<Times> {
        let buckets = (0..).zip(&self.response_times).filter(|(_, n)| **n > 0);
        Some(Times {
            monitor_id: self.arrival.monitor_id,
            sum_us: self.response_time_sum_us,
            max_us: self.response_time_max_us?,
            buckets: buckets.map(|(bucket, n)| (bucket, i64::from(*n))).collect(),
        })
    }
}

impl Times {
    fn add(&mut self, other: &Times) {
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
        for &(bucket, n) in &other.buckets {
            match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.buckets[at].1 += n,
                Err(at) => self.buckets.insert(at, (bucket, n)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(monitor_id: i32, agent_id: i32, max_us: Option<i64>, response_times: Vec<i32>) -> Summary {
        Summary {
            arrival: Arrival { monitor_id, agent_id, checks: 12, success: 11, agent_error: 1 },
            response_time_sum_us: 7_000,
            response_time_max_us: max_us,
            response_times,
        }
    }

    #[test]
    fn a_block_has_each_agents_counts_and_one_sum_of_response_times_a_monitor() {
        let rows = [
            row(7, 1, Some(900), vec![0, 3, 0, 8]),
            row(7, 2, Some(800), vec![2, 1, 0, 0]),
            row(8, 1, None, vec![0, 0, 0, 0]),
            row(9, 1, Some(5), vec![1, 0, 0, 0]),
        ];
        let arrivals: Vec<_> = rows.iter().map(|row| row.arrival).collect();
        let block = Block::of(arrivals, rows.iter().filter_map(Summary::times).collect());
        assert_eq!(block.arrivals, rows.each_ref().map(|row| row.arrival));
        let sum = Times { monitor_id: 7, sum_us: 14_000, max_us: 900, buckets: vec![(0, 2), (1, 4), (3, 8)] };
        assert_eq!(block.times, [sum, Times { monitor_id: 9, sum_us: 7_000, max_us: 5, buckets: vec![(0, 1)] }]);
        let bytes = postcard::to_allocvec(&block).unwrap();
        let (of_7_1, times_of_9) = ([14, 2, 24, 22, 2], [18, 176, 109, 10, 1, 0, 2]);
        assert!(bytes[1..].starts_with(&of_7_1) && bytes.ends_with(&times_of_9), "then FORMAT is another: {bytes:?}");
        assert_eq!(postcard::from_bytes::<Block>(&bytes).unwrap(), block);
    }

    #[test]
    fn monitors_are_in_the_block_of_their_number() {
        assert!(monitors(0).contains(511) && !monitors(0).contains(512));
        assert!(monitors(1).contains(512) && !monitors(1).contains(1_024));
    }
}
