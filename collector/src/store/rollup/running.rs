//! Packs the begin of hours that go on, of which there is no summary yet: else pages would read all of their results over and
//! over, which are the more the later in the hour it is.
//!
//! ```text
//! hour ├── packed ──┤ until            now
//!      all marks that are seen are made one, ▲ which says: what I stand for is packed up to `until`
//! ```
//! The results are read after the marks, so those of every mark that was seen are in the block. A mark that was not seen
//! stays, and if it stands for anything from before `until`, readers take nothing of its monitors from the block.

use std::ops::Bound;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Integer, Multirange, SmallInt, Timestamptz};

use super::{Rival, Trouble, lock};
use crate::store::blocks::{self, FORMAT, Span};
use crate::store::live;

/// How far packing stays behind now, so that what is on its way is newer; and how often it is done anew.
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
struct Marked {
    #[diesel(sql_type = Multirange<Integer>)]
    monitors: Vec<(Bound<i32>, Bound<i32>)>,
}

/// Packs an hour that goes on; whether there was one to be packed here.
pub(super) fn step(connection: &mut PgConnection) -> Result<bool, Trouble> {
    // The results are read after the marks, and both after the lock was got, whatever the database's default is.
    connection.build_transaction().read_committed().run(|connection| {
        if !lock(connection, Rival::Yield)? {
            return Ok(false);
        }
        let begun: Option<Begun> = sql_query(format!(
            "select d.hour, d.until,
                    array(select distinct summary_block(monitor_id) from monitors) as blocks
             from (
                 select hour, least(now() - {BEHIND}, hour + interval '1 hour') as until,
                        min(coalesce(since, hour)) as earliest
                 from rollup_due where hour > now() - interval '61 minutes' and hour < now() - {BEHIND} group by hour
             ) d
             cross join lateral (
                 select min(b.until) as until, max(b.packed_at) as packed_at from summary_blocks b
                 where not b.is_day and b.begins = d.hour and b.format = $1
             ) b
             where b.until is null
                or b.packed_at <= now() - {BEHIND} and (b.until < d.until or d.earliest < b.until)
             order by d.hour limit 1"
        ))
        .bind::<SmallInt, _>(FORMAT)
        .get_result(connection)
        .optional()?;
        let Some(Begun { hour, until, blocks }) = begun else { return Ok(false) };
        let Marked { monitors } = sql_query(
            "with gone as (delete from rollup_due where hour = $1 returning monitors)
             insert into rollup_due (hour, monitors, since)
             select $1, range_agg(m.monitors), $2 from gone g cross join lateral unnest(g.monitors) m(monitors)
             returning monitors",
        )
        .bind::<Timestamptz, _>(hour)
        .bind::<Timestamptz, _>(until)
        .get_result(connection)?;
        let since: Vec<_> = ids(&monitors).map(|id| (id, hour)).collect();
        let parts = live::read(connection, &since, until)?.iter().map(|it| (it.arrival, it.times())).collect();
        blocks::write(connection, Span::Hour, hour, until, &blocks, parts)?;
        log::debug!(hour = hour.0, until = until.0; "packed the begin of an hour");
        Ok(true)
    })
}

/// The numbers of a multirange, which PostgreSQL tells half open.
fn ids(monitors: &[(Bound<i32>, Bound<i32>)]) -> impl Iterator<Item = i32> {
    monitors.iter().flat_map(|bounds| match *bounds {
        (Bound::Included(first), Bound::Excluded(end)) => first..end,
        _ => 0..0,
    })
}
