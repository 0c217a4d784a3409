//! Stores up to which offset each partition of Kafka is stored, together with the rows.
//!
//! ```text
//! locate ──▶ held: 500 ──▶ batch 500..600: is the database still at 500? ──▶ rows, and 600, in one transaction
//!                                             └ no: it was set back, or another writer went on ──▶ locate
//! ```
//! So a position is never ahead of its rows. It may lag: a batch that has only replays opens no transaction, and the
//! offset that it reached is written with the next batch.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use crate::position::{Log, Position, Positions, Start};
use crate::store::db::error::{Statement, StoreError};

/// The positions of one writer's partitions.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldPositions {
    log: Log,
    /// The positions as the database has them, as far as is known.
    stored: Positions,
    /// The positions beyond these up to which everything was found to be stored already.
    reached: Positions,
}

#[derive(QueryableByName)]
struct PositionRow {
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = BigInt)]
    next_offset: i64,
    #[diesel(sql_type = Nullable<Integer>)]
    leader_epoch: Option<i32>,
}

#[derive(QueryableByName)]
struct Identity {
    #[diesel(sql_type = SqlUuid)]
    database: Uuid,
}

/// Reads the positions of these partitions. The position of a partition that is new, or whose topic was made again, is
/// at the beginning.
pub(crate) fn locate(
    connection: &mut PgConnection,
    log: &Log,
    partitions: &[i32],
) -> Result<(HeldPositions, Start), StoreError> {
    let Identity { database } = sql_query("select database from identity").get_result(connection)?;
    sql_query(
        "insert into positions as p (topic, partition, topic_id)
         select $1, d.partition, $2 from unnest($3) d(partition) order by d.partition
         on conflict (topic, partition) do update
         set topic_id = excluded.topic_id, next_offset = 0, leader_epoch = null
         where p.topic_id is distinct from excluded.topic_id",
    )
    .bind::<Text, _>(&*log.topic)
    .bind::<Nullable<Text>, _>(&log.id)
    .bind::<Array<Integer>, _>(partitions)
    .execute(connection)
    .map_err(|error| StoreError::of(error, Statement::Lock))?;
    let rows: Vec<PositionRow> = sql_query(
        "select partition, next_offset, leader_epoch from positions where topic = $1 and partition = any($2)",
    )
    .bind::<Text, _>(&*log.topic)
    .bind::<Array<Integer>, _>(partitions)
    .load(connection)?;
    let positions = positions(rows);
    let held = HeldPositions { log: log.clone(), stored: positions.clone(), reached: Positions::new() };
    Ok((held, Start { database, positions }))
}

fn positions(rows: Vec<PositionRow>) -> Positions {
    let position =
        |row: PositionRow| (row.partition, Position { next: row.next_offset, leader_epoch: row.leader_epoch });
    rows.into_iter().map(position).collect()
}

impl HeldPositions {
    /// Locks the positions against other writers, in an order that all writers keep. Returns an error when they are not
    /// as they were left.
    pub(crate) fn lock(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        let rows: Vec<PositionRow> = sql_query(
            "select partition, next_offset, leader_epoch from positions
             where topic = $1 and topic_id is not distinct from $2 and partition = any($3)
             order by partition for no key update",
        )
        .bind::<Text, _>(&*self.log.topic)
        .bind::<Nullable<Text>, _>(&self.log.id)
        .bind::<Array<Integer>, _>(self.stored.keys().copied().collect::<Vec<_>>())
        .load(connection)
        .map_err(|error| StoreError::of(error, Statement::Lock))?;
        if positions(rows) == self.stored { Ok(()) } else { Err(StoreError::Moved) }
    }

    /// Returns the positions that the database will have once `ends` is stored, too.
    pub(crate) fn next(&self, ends: &Positions) -> Positions {
        let mut next = self.reached.clone();
        next.extend(ends.iter().filter(|(partition, _)| self.stored.contains_key(partition)));
        next
    }

    /// Writes positions whose rows are locked.
    pub(crate) fn advance(&self, connection: &mut PgConnection, next: &Positions) -> Result<(), StoreError> {
        if next.is_empty() {
            return Ok(());
        }
        sql_query(
            "update positions p set next_offset = d.next_offset, leader_epoch = d.leader_epoch
             from unnest($2, $3, $4) d(partition, next_offset, leader_epoch)
             where p.topic = $1 and p.partition = d.partition",
        )
        .bind::<Text, _>(&*self.log.topic)
        .bind::<Array<Integer>, _>(next.keys().copied().collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(next.values().map(|position| position.next).collect::<Vec<_>>())
        .bind::<Array<Nullable<Integer>>, _>(next.values().map(|position| position.leader_epoch).collect::<Vec<_>>())
        .execute(connection)?;
        Ok(())
    }

    /// Notes that everything up to these ends was stored before.
    pub(crate) fn reach(&mut self, ends: &Positions) {
        self.reached = self.next(ends);
    }

    /// Notes that these positions were committed.
    pub(crate) fn committed(&mut self, next: Positions) {
        self.stored.extend(next);
        self.reached.clear();
    }

    /// Returns whether no partition is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: i64) -> Position {
        Position { next, leader_epoch: Some(3) }
    }

    #[test]
    fn what_was_reached_is_written_with_the_next_batch_and_only_of_partitions_that_are_held() {
        let mut held = HeldPositions { stored: [(0, at(5)), (2, at(7))].into(), ..HeldPositions::default() };
        held.reach(&[(0, at(9)), (1, at(4))].into());
        assert_eq!(held.stored[&0], at(5), "the database does not know it yet");
        let next = held.next(&[(2, at(8))].into());
        assert_eq!(next, [(0, at(9)), (2, at(8))].into());
        held.committed(next);
        assert_eq!((held.stored.clone(), held.next(&Positions::new())), ([(0, at(9)), (2, at(8))].into(), [].into()));
    }
}
