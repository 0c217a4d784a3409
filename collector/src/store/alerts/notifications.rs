//! Messages as rows: written with what they tell of, claimed by who sends them, marked when they are sent.

use std::time::Duration;

use diesel::prelude::*;
use diesel::query_dsl::methods::ExecuteDsl;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AlertStore, is_there, seconds};
use crate::alerts::{Changes, Item, Message, merge};
use crate::store::Unavailable;
use crate::store::tables::pg_time;
use crate::store::trouble::{Statement, Trouble};

/// After so long a message is no longer worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(86_400);

/// A message that is ours to send.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What to send.
    pub message: Message,
    /// How often it was tried, with this time.
    pub attempts: i32,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    receiver: String,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

/// Writes what is to be told at `now`: to each receiver in one message, that of moments ago while it waits for more.
pub(super) fn write(
    connection: &mut PgConnection,
    changes: &Changes,
    now: Timestamp,
    group_wait: Duration,
) -> Result<(), Trouble> {
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
            .map_err(|error| Trouble::of(error, Statement::Records))?;
        }
    }
    Ok(())
}

/// Lets the message that waits for more take these along, if there is one.
fn join(connection: &mut PgConnection, receiver: &str, more: &[Item], now: Timestamp) -> Result<bool, Trouble> {
    let waiting: Option<Row> = sql_query(
        "select id, receiver, payload, attempts from notifications
         where receiver = $1 and sent_at is null and given_up_at is null and attempts = 0 and not_before > $2
         order by number desc limit 1 for update",
    )
    .bind::<Text, _>(receiver)
    .bind::<Timestamptz, _>(pg_time(now))
    .get_result(connection)
    .optional()?;
    let Some((id, waiting)) = waiting.and_then(|row| Some((row.id, row.items().ok()?))) else { return Ok(false) };
    let items = merge(waiting, more.to_vec());
    let written = if items.is_empty() {
        sql_query("delete from notifications where id = $1").bind::<SqlUuid, _>(id).execute(connection)
    } else {
        sql_query("update notifications set payload = jsonb_set(payload, '{items}', $2) where id = $1")
            .bind::<SqlUuid, _>(id)
            .bind::<Jsonb, _>(&json!(items))
            .execute(connection)
    };
    written.map_err(|error| Trouble::of(error, Statement::Records))?;
    Ok(true)
}

impl Row {
    fn items(&self) -> serde_json::Result<Vec<Item>> {
        Vec::deserialize(&self.payload["items"])
    }
}

impl AlertStore {
    /// Claims the receiver's oldest message that is due, if no other collector has. For so long it is nobody else's.
    ///
    /// # Errors
    /// Why the database can't be read or written.
    pub fn claim(&self, receiver: &str, lasting: Duration) -> Result<Option<Claim>, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(None) };
        let outcome = claim(&mut session, receiver, &self.name, lasting);
        let Some(row) = session.judge(outcome)? else { return Ok(None) };
        let unreadable = |error| Unavailable(format!("notification {} can't be read: {error}", row.id));
        let items = row.items().map_err(unreadable)?;
        let message = Message { id: row.id, receiver: row.receiver, items };
        Ok(Some(Claim { message, attempts: row.attempts }))
    }

    /// It was sent.
    ///
    /// # Errors
    /// Why the database can't be written: then it is sent again once the claim has run out.
    pub fn mark_sent(&self, claim: &Claim) -> Result<(), Unavailable> {
        let mark = sql_query(
            "update notifications
             set sent_at = clock_timestamp(), claimed_by = null, claimed_until = null, last_error = null
             where id = $1 and claimed_by = $2",
        );
        self.mark(mark.bind::<SqlUuid, _>(claim.message.id).bind::<Text, _>(&self.name))
    }

    /// It was not taken, and is to be tried again.
    ///
    /// # Errors
    /// Why the database can't be written: then it is tried again once the claim has run out.
    pub fn mark_failed(&self, claim: &Claim, error: &str, again_in: Duration) -> Result<(), Unavailable> {
        let mark = sql_query(
            "update notifications
             set not_before = clock_timestamp() + $4 * interval '1 second', claimed_by = null, claimed_until = null,
                 last_error = $3
             where id = $1 and claimed_by = $2",
        );
        let mark = mark.bind::<SqlUuid, _>(claim.message.id).bind::<Text, _>(&self.name);
        self.mark(mark.bind::<Text, _>(error).bind::<BigInt, _>(seconds(again_in)))
    }

    fn mark(&self, mark: impl ExecuteDsl<PgConnection>) -> Result<(), Unavailable> {
        let mut session = self.connections.get()?;
        let marked = ExecuteDsl::execute(mark, &mut **session).map_err(Trouble::from);
        session.judge(marked)?;
        Ok(())
    }
}

/// Those of a receiver go in their order: the oldest that waits holds up those after it, also while it waits to be tried
/// again or another collector sends it, until it is given up.
fn claim(connection: &mut PgConnection, receiver: &str, name: &str, lasting: Duration) -> Result<Option<Row>, Trouble> {
    if !is_there(connection)? {
        return Ok(None);
    }
    give_up(connection, receiver)?;
    let claimed = sql_query(
        "update notifications
         set claimed_by = $2, claimed_until = clock_timestamp() + $3 * interval '1 second', attempts = attempts + 1
         where id = (
             select n.id from notifications n
             where n.receiver = $1 and n.sent_at is null and n.given_up_at is null
               and n.not_before <= clock_timestamp()
               and (n.claimed_until is null or n.claimed_until < clock_timestamp())
               and not exists (
                   select from notifications o
                   where o.receiver = $1 and o.sent_at is null and o.given_up_at is null and o.number < n.number
               )
             order by n.number limit 1 for update skip locked
         )
         returning id, receiver, payload, attempts",
    )
    .bind::<Text, _>(receiver)
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(seconds(lasting))
    .get_result(connection)
    .optional()?;
    Ok(claimed)
}

/// Gives up what is no longer worth telling, and says so: no other collector does.
fn give_up(connection: &mut PgConnection, receiver: &str) -> Result<(), Trouble> {
    #[derive(QueryableByName)]
    struct GivenUp {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
        #[diesel(sql_type = Integer)]
        attempts: i32,
        #[diesel(sql_type = Nullable<Text>)]
        last_error: Option<String>,
    }
    let all: Vec<GivenUp> = sql_query(
        "update notifications set given_up_at = clock_timestamp()
         where receiver = $1 and sent_at is null and given_up_at is null
           and created_at <= now() - $2 * interval '1 second'
           and (claimed_until is null or claimed_until < clock_timestamp())
         returning id, attempts, last_error",
    )
    .bind::<Text, _>(receiver)
    .bind::<BigInt, _>(seconds(WORTH_TELLING))
    .load(connection)?;
    for it in all {
        let error = it.last_error.as_deref().unwrap_or("nobody tried");
        log::error!(receiver, message:% = it.id, attempts = it.attempts, error; "gave up telling a receiver");
    }
    Ok(())
}
