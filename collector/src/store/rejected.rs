//! Reads messages that were set aside. The module `replay` stores them after the cause was corrected.

pub(crate) mod replay;

use std::fmt;
use std::str::FromStr;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use jiff::Timestamp;
use uuid::Uuid;

use super::Store;
use super::db::error::StoreError;
use crate::batch::Message;
use crate::store::db::time::time;
use crate::unavailable::Unavailable;

/// The place of a message, written as `topic/partition/offset`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// The choice of messages that were set aside.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only messages at these places. An empty list means all places.
    pub places: Vec<Place>,
    /// Only messages with this reason. `None` means any reason.
    pub reason: Option<String>,
}

/// A message that was set aside.
#[derive(Clone, Debug)]
pub struct RejectedMessage {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// When it was set aside, by the database's clock.
    pub received_at: Timestamp,
    /// Why it was set aside, in one word.
    pub reason: String,
    /// Why it was set aside, as a text for people.
    pub detail: String,
    pub(crate) digest: Uuid,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let read = || {
            let (rest, offset) = text.rsplit_once('/')?;
            let (topic, partition) = rest.rsplit_once('/')?;
            Some(Place { topic: topic.into(), partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        };
        read().ok_or_else(|| format!("{text} is no place; write topic/partition/offset, as `rejected list` does"))
    }
}

impl RejectedMessage {
    /// Returns the place of the message.
    pub fn place(&self) -> Place {
        Place { topic: self.topic.clone(), partition: self.partition, offset: self.offset }
    }

    pub(crate) fn message(&self) -> Message<'_> {
        let RejectedMessage { topic, partition, offset, key, value, .. } = self;
        let (partition, offset) = (*partition, *offset);
        Message { topic, partition, offset, key: key.as_deref(), value: value.as_deref(), passage: None }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Integer)]
    partition: i32,
    #[diesel(sql_type = BigInt)]
    offset: i64,
    #[diesel(sql_type = Timestamptz)]
    received_at: PgTimestamp,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Text)]
    detail: String,
    #[diesel(sql_type = Nullable<Binary>)]
    key: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    value: Option<Vec<u8>>,
    #[diesel(sql_type = SqlUuid)]
    digest: Uuid,
}

impl Store {
    /// Returns the messages that were set aside, the latest first, and at most `most`.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    pub fn rejected(&mut self, wanted: &Wanted, most: u32) -> Result<Vec<RejectedMessage>, Unavailable> {
        let mut session = self.writer.connections.get()?;
        super::db::migrate::check(&mut session, &self.writer.schema)?;
        let messages =
            select(&mut session, wanted, "received_at desc, topic, partition, \"offset\"", most.into(), None);
        Ok(session.judge(messages)?)
    }
}

pub(crate) fn select(
    connection: &mut PgConnection,
    wanted: &Wanted,
    order: &str,
    most: i64,
    after: Option<&(Place, Uuid)>,
) -> Result<Vec<RejectedMessage>, StoreError> {
    let places = &wanted.places;
    let (last, digest) = after.map_or((None, None), |(place, digest)| (Some(place), Some(*digest)));
    let rows: Vec<Row> = sql_query(format!(
        "select topic, partition, \"offset\", received_at, reason, detail, key, value, digest
         from rejected r
         where ($1 or (topic, partition, \"offset\") in (select * from unnest($2, $3, $4)))
           and ($5 is null or reason = $5)
           and ($6 is null or (topic, partition, \"offset\", digest) > ($6, $7, $8, $9))
         order by {order} limit $10"
    ))
    .bind::<Bool, _>(places.is_empty())
    .bind::<Array<Text>, _>(places.iter().map(|place| place.topic.as_str()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(places.iter().map(|place| place.partition).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(places.iter().map(|place| place.offset).collect::<Vec<_>>())
    .bind::<Nullable<Text>, _>(&wanted.reason)
    .bind::<Nullable<Text>, _>(last.map(|place| place.topic.as_str()))
    .bind::<Nullable<Integer>, _>(last.map(|place| place.partition))
    .bind::<Nullable<BigInt>, _>(last.map(|place| place.offset))
    .bind::<Nullable<SqlUuid>, _>(digest)
    .bind::<BigInt, _>(most)
    .load(connection)?;
    let message = |row: Row| RejectedMessage {
        topic: row.topic,
        partition: row.partition,
        offset: row.offset,
        key: row.key,
        value: row.value,
        received_at: time(row.received_at),
        reason: row.reason,
        detail: row.detail,
        digest: row.digest,
    };
    Ok(rows.into_iter().map(message).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_shown() {
        let place = Place { topic: "web.site_x-1".into(), partition: 3, offset: 77 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "topic", "topic/1", "topic/x/1", "topic/1/"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
