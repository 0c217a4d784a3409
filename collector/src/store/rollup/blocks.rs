//! Packs the summaries that status pages show, for the hours and days that are over and have no block.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, Binary, Bool, Integer, SmallInt, Timestamptz};

use super::{Rival, StoreError, lock};
use crate::store::summary_blocks;
use crate::store::summary_blocks::{Block, FORMAT, MOST, Span, Summary};

/// The blocks that are wanted: those of the hours of the last day, of the hours whose day has no summary yet, and of
/// ninety days. A day is 24 hours here; in the time zone of a session it need not be.
const WANTED: &str = "
    select false as is_day, hour as begins
    from generate_series(date_bin('1 hour', now() - interval '50 hours', '1970-01-01 00:00:00Z'),
                         now() - interval '61 minutes', interval '1 hour') hour
    union all
    select true, day
    from generate_series(date_bin('1 day', now() - interval '91 days', '1970-01-01 00:00:00Z'),
                         now() - interval '25 hours 1 minute', interval '24 hours') day";

#[derive(QueryableByName)]
struct Missing {
    #[diesel(sql_type = Bool)]
    is_day: bool,
    #[diesel(sql_type = Timestamptz)]
    begins: PgTimestamp,
    #[diesel(sql_type = Array<Integer>)]
    blocks: Vec<i32>,
}

/// Packs the latest hour that lacks a block, or else the latest day. Returns whether there was one and this collector
/// packed it. This holds the lock of the collectors that make summaries, so that no summary is made between the reading
/// and the writing.
pub(crate) fn step(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // With read committed, all that is read is of a time after the lock was taken, whatever the database's default is.
    connection.build_transaction().read_committed().run(|connection| {
        if !lock(connection, Rival::Yield)? {
            return Ok(false);
        }
        let missing: Option<Missing> = sql_query(format!(
            "select m.is_day, m.begins, array_agg(m.block) as blocks from ({}) m
             group by 1, 2 order by m.is_day, m.begins desc limit 1",
            missing()
        ))
        .bind::<SmallInt, _>(FORMAT)
        .get_result(connection)
        .optional()?;
        let Some(missing) = missing else { return Ok(false) };
        let span = if missing.is_day { Span::Day } else { Span::Hour };
        let mut is_empty = true;
        for block in missing.blocks {
            let rows = summary_blocks::rows(
                connection,
                span,
                missing.begins,
                &summary_blocks::monitors(block),
                Some(MOST + 1),
            )?;
            let (until, content) = if rows.len() > MOST {
                (missing.begins, Block::default())
            } else {
                let arrivals = rows.iter().map(|row| row.arrival).collect();
                (span.end(missing.begins), Block::of(arrivals, rows.iter().filter_map(Summary::times).collect()))
            };
            summary_blocks::write(connection, span, missing.begins, until, block, &content)?;
            is_empty &= rows.is_empty();
        }
        if is_empty {
            // Many hours and days may have no row, because nothing is older than the first start of a collector.
            write_empty(connection)?;
        }
        log::debug!(begins = missing.begins.0, is_day = missing.is_day; "packed what pages show");
        Ok(true)
    })
}

/// Returns a query for the blocks that are missing, where `$1` is the format.
fn missing() -> String {
    format!(
        "select w.is_day, w.begins, n.block
         from ({WANTED}) w
         cross join (select distinct summary_block(monitor_id) as block from monitors) n
         left join summary_blocks b on b.is_day = w.is_day and b.begins = w.begins and b.block = n.block
         -- A block that was packed while its hour went on has only the begin of the hour. Marked results are not in the
         -- rows.
         where (b.format is distinct from $1
                or not b.is_day and b.until > b.begins and b.until < b.begins + interval '1 hour')
           and (w.is_day or not exists (select from rollup_due d where d.hour = w.begins))"
    )
}

/// Writes empty blocks for the hours and days that lack a block and have no row at all.
fn write_empty(connection: &mut PgConnection) -> Result<(), StoreError> {
    sql_query(format!(
        "insert into summary_blocks (is_day, begins, block, until, format, content)
         select m.is_day, m.begins, m.block,
                m.begins + case when m.is_day then interval '24 hours' else interval '1 hour' end, $1, $2
         from ({}) m
         where case when m.is_day then not exists (select from daily d where d.day = m.begins)
                    else not exists (select from hourly h where h.hour = m.begins) end
         on conflict (is_day, begins, block) do update
         set until = excluded.until, format = excluded.format, content = excluded.content, packed_at = now()",
        missing()
    ))
    .bind::<SmallInt, _>(FORMAT)
    .bind::<Binary, _>(Block::default().packed()?)
    .execute(connection)?;
    Ok(())
}

/// Deletes the blocks that no page asks for any more.
pub(in crate::store) fn expire(connection: &mut PgConnection) -> Result<(), StoreError> {
    sql_query(format!(
        "delete from summary_blocks b
         where not exists (select from ({WANTED}) w where w.is_day = b.is_day and w.begins <= b.begins)"
    ))
    .execute(connection)?;
    Ok(())
}
