//! Writes messages in the transaction that writes the alerts that they tell of.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::alerts::{Changes, merge};
use crate::notify::Item;
use crate::store::db::error::{Statement, StoreError};
use crate::store::db::time::pg_time;

#[derive(QueryableByName)]
struct Waiting {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
}

/// Writes what is to be told at `now`. Each receiver gets one message; a message that was written moments ago and waits
/// for more takes the new items along.
pub(crate) fn write(
    connection: &mut PgConnection,
    changes: &Changes,
    now: Timestamp,
    group_wait: Duration,
) -> Result<(), StoreError> {
    for (receiver, items) in &changes.messages {
        if !join(connection, receiver, items, now)? {
            sql_query(
                "insert into notifications (receiver, payload, not_before)
                 values ($1, jsonb_build_object('items', $2), $3 + $4 * interval '1 millisecond')",
            )
            .bind::<Text, _>(receiver)
            .bind::<Jsonb, _>(&json!(items))
            .bind::<Timestamptz, _>(pg_time(now))
            .bind::<BigInt, _>(i64::try_from(group_wait.as_millis()).unwrap_or(i64::MAX))
            .execute(connection)
            .map_err(|error| StoreError::of(error, Statement::Records))?;
        }
    }
    Ok(())
}

/// Adds these items to the message that waits for more, if there is one. Returns whether there is one.
fn join(connection: &mut PgConnection, receiver: &str, more: &[Item], now: Timestamp) -> Result<bool, StoreError> {
    let waiting: Option<Waiting> = sql_query(
        "select id, payload from notifications
         where receiver = $1 and address is null and sent_at is null and given_up_at is null and attempts = 0
           and not_before > $2
         order by number desc limit 1 for update",
    )
    .bind::<Text, _>(receiver)
    .bind::<Timestamptz, _>(pg_time(now))
    .get_result(connection)
    .optional()?;
    let Some((id, waiting)) = waiting.and_then(|row| Some((row.id, items(&row.payload).ok()?))) else {
        return Ok(false);
    };
    let items = merge(waiting, more.to_vec());
    let written = if items.is_empty() {
        sql_query("delete from notifications where id = $1").bind::<SqlUuid, _>(id).execute(connection)
    } else {
        sql_query("update notifications set payload = jsonb_set(payload, '{items}', $2) where id = $1")
            .bind::<SqlUuid, _>(id)
            .bind::<Jsonb, _>(&json!(items))
            .execute(connection)
    };
    written.map_err(|error| StoreError::of(error, Statement::Records))?;
    Ok(true)
}

/// Returns the items of a message.
pub(crate) fn items(payload: &Value) -> serde_json::Result<Vec<Item>> {
    Vec::deserialize(&payload["items"])
}
