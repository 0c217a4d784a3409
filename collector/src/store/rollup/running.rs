//! Packs the begin of hours that have not ended and have no summary yet. Without this, each page would read all results
//! of such an hour, and their number grows as the hour goes on.
//!
//! ```text
//! hour ├── packed ──┤ until            now
//!      all marks that are seen are made one, ▲ which says: what I stand for is packed up to `until`
//! ```
//! The results are read after the marks, so the block has those of every mark that was seen. A mark that was not seen
//! stays. If it stands for anything from before `until`, readers take nothing of its monitors from the block, and the
//! next packing reads their results from the begin of the hour on. For the other monitors the next packing adds what
//! came since.

use std::collections::BTreeMap;
use std::ops::Bound;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Multirange, SmallInt, Timestamptz};

use super::{Rival, StoreError, lock};
use crate::ranges::Ranges;
use crate::store::db::multirange::from_sql;
use crate::store::summary_blocks;
use crate::store::summary_blocks::{Block, FORMAT, MOST, Span, Stored, Summary};

/// How far packing stays behind the current time, so that results that are still on their way are newer than the packed
/// part. Packing is also repeated after this time.
const BEHIND: &str = "interval '3 minutes'";

#[derive(QueryableByName)]
struct Begun {
    #[diesel(sql_type = Timestamptz)]
    hour: PgTimestamp,
    #[diesel(sql_type = Timestamptz)]
    until: PgTimestamp,
    #[diesel(sql_type = Array<Integer>)]
    blocks: Vec<i32>,
}

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = Timestamptz)]
    since: PgTimestamp,
    #[diesel(sql_type = Multirange<BigInt>)]
    monitors: Vec<(Bound<i64>, Bound<i64>)>,
}

/// Packs the begin of an hour that goes on. Returns whether there was such an hour and this collector packed it.
pub(crate) fn step(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // With read committed, the results are read after the marks, and both after the lock was taken, whatever the
    // database's default is.
    connection.build_transaction().read_committed().run(|connection| {
        if !lock(connection, Rival::Yield)? {
            return Ok(false);
        }
        let begun: Option<Begun> = sql_query(format!(
            "select d.hour, greatest(d.until, b.latest) as until,
                    array(select distinct summary_block(monitor_id) from monitors) as blocks
             from (
                 select hour, least(now() - {BEHIND}, hour + interval '1 hour') as until,
                        min(coalesce(since, hour)) as earliest
                 from rollup_due where hour > now() - interval '61 minutes' and hour < now() - {BEHIND} group by hour
             ) d
             cross join lateral (
                 select min(b.until) as until, max(b.until) as latest, max(b.packed_at) as packed_at from summary_blocks b
                 where not b.is_day and b.begins = d.hour and b.format = $1
             ) b
             where exists (select from monitors)
               and (b.until is null
                    or b.packed_at <= now() - {BEHIND} and (b.until < d.until or d.earliest < b.until))
             order by d.hour limit 1"
        ))
        .bind::<SmallInt, _>(FORMAT)
        .get_result(connection)
        .optional()?;
        let Some(Begun { hour, until, blocks }) = begun else { return Ok(false) };
        let marks = gather(connection, hour, until)?;
        let before = summary_blocks::read(connection, Span::Hour, &[hour])?;
        let mut before: BTreeMap<i32, Stored> = before.map(|it| (it.block, it)).collect();
        for block in blocks {
            let monitors = summary_blocks::monitors(block);
            let (until, content) = pack(connection, &marks, &monitors, before.remove(&block), hour, until)?;
            summary_blocks::write(connection, Span::Hour, hour, until, block, &content)?;
        }
        log::debug!(hour = hour.0, until = until.0; "packed the begin of an hour");
        Ok(true)
    })
}

/// Replaces all marks of an hour by one mark, before the part up to `until` is packed. Returns the marks as they were.
fn gather(
    connection: &mut PgConnection,
    hour: PgTimestamp,
    until: PgTimestamp,
) -> Result<Vec<(i64, Ranges)>, StoreError> {
    let marks: Vec<Mark> = sql_query(
        "with gone as (delete from rollup_due where hour = $1 returning monitors, since),
              one as (
                  insert into rollup_due (hour, monitors, since)
                  select $1, range_agg(m.monitors), $2 from gone g cross join lateral unnest(g.monitors) m(monitors)
              )
         select coalesce(g.since, $1) as since, range_agg(int8range(lower(m.ids), upper(m.ids))) as monitors
         from gone g cross join lateral unnest(g.monitors) m(ids) group by 1",
    )
    .bind::<Timestamptz, _>(hour)
    .bind::<Timestamptz, _>(until)
    .load(connection)?;
    Ok(marks.into_iter().map(|mark| (mark.since.0, from_sql(mark.monitors))).collect())
}

/// Returns what there is of a block's monitors before `until`, from what was packed before and from results. When this
/// is too much, returns an empty block that ends at the begin of the hour.
fn pack(
    connection: &mut PgConnection,
    marks: &[(i64, Ranges)],
    monitors: &Ranges,
    before: Option<Stored>,
    hour: PgTimestamp,
    until: PgTimestamp,
) -> Result<(PgTimestamp, Block), StoreError> {
    let packed_until = before.as_ref().map_or(hour, |before| before.until);
    let of = |since: i64| {
        let marks = marks.iter().filter(|(from, _)| *from < since);
        marks.fold(Ranges::new(), |all, (_, monitors)| all.union(monitors))
    };
    // Late results are not in the block that was packed before. Their monitors are packed from the begin of the hour
    // on.
    let (all, late) = (of(i64::MAX), of(packed_until.0));
    let others = monitors.minus(&all);
    let marked = monitors.minus(&others);
    let since = |id: i64| if late.contains(id) { hour } else { packed_until };
    let ids = marked.parts().iter().flat_map(|(first, end)| *first..*end);
    let ids: Vec<_> = ids.filter_map(|id| Some((i32::try_from(id).ok()?, since(id)))).collect();
    let rows = summary_blocks::results(connection, &ids, until, Some(MOST + 1))?;
    let before = before.map(|before| before.content).unwrap_or_default();
    let kept = before.arrivals.into_iter().filter(|it| !late.contains(it.monitor_id.into()));
    let arrivals = kept.chain(rows.iter().map(|row| row.arrival)).collect();
    let kept = before.times.into_iter().filter(|it| !late.contains(it.monitor_id.into()));
    let packed = Block::of(arrivals, kept.chain(rows.iter().filter_map(Summary::times)).collect());
    Ok(if packed.arrivals.len() > MOST { (hour, Block::default()) } else { (until, packed) })
}
