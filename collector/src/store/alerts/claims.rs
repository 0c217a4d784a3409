//! Stores how messages are sent: a collector claims a message before it sends it, and marks it afterwards.
//!
//! ```text
//!                    due                         claimed          sent · put off · given up
//! written, of all ────────▶ one for each address ───────▶ on its way ──────────────────────▶
//! ```
//! A receiver without addresses gets one message for all. Messages to the same address, or to all addresses, go in
//! their order: the oldest message that waits holds up those after it. This is also so while it waits for another try
//! or another collector sends it, until it is given up.
//!
//! A message is split into one for each address only when it is due, because more alerts may join it until then. The
//! parts keep its number, so each address is told in the order in which things were found.

use std::time::Duration;

use diesel::prelude::*;
use diesel::query_dsl::methods::ExecuteDsl;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid};
use serde_json::Value;
use uuid::Uuid;

use super::notifications::items;
use super::{AlertStore, Flag, is_there, seconds};
use crate::notify::Message;
use crate::store::db::error::StoreError;
use crate::unavailable::Unavailable;

/// The time after which a message is no longer worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(86_400);

/// A message that this collector is to send.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The message to send.
    pub message: Message,
    /// How often it was tried, including this time.
    pub attempts: i32,
}

/// A message that was given up.
#[derive(Clone, Debug, QueryableByName)]
pub struct GivenUp {
    /// The id by which the receiver knows it.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// The name of the receiver.
    #[diesel(sql_type = Text)]
    pub receiver: String,
    /// The address of the receiver that the message was for, if it was for one address.
    #[diesel(sql_type = Nullable<Text>)]
    pub address: Option<String>,
    /// How often it was tried.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// The error of the last try, or `None` when the message was never tried.
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    receiver: String,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
    #[diesel(sql_type = Jsonb)]
    payload: Value,
    #[diesel(sql_type = Integer)]
    attempts: i32,
}

impl AlertStore {
    /// Claims the oldest message to a receiver that is due, if no other collector has claimed it. During `lasting` no
    /// other collector sends it. `addresses` are those of the receiver, if it has any; the message is then for one of
    /// them.
    ///
    /// # Errors
    /// Returns why the database can't be read or written.
    pub fn claim(&self, receiver: &str, addresses: &[String], lasting: Duration) -> Result<Option<Claim>, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(None) };
        let outcome = claim(&mut session, receiver, addresses, &self.name, lasting);
        let Some(row) = session.judge(outcome)? else { return Ok(None) };
        let unreadable = |error| Unavailable(format!("notification {} can't be read: {error}", row.id));
        let items = items(&row.payload).map_err(unreadable)?;
        let message = Message { id: row.id, receiver: row.receiver, address: row.address, items };
        Ok(Some(Claim { message, attempts: row.attempts }))
    }

    /// Makes a claim last for `lasting` from now on. Returns whether this collector still has the claim: another
    /// collector may have taken a claim that ran out.
    ///
    /// # Errors
    /// Returns why the database can't be written.
    pub fn renew(&self, claim: &Claim, lasting: Duration) -> Result<bool, Unavailable> {
        let renew = sql_query(
            "update notifications set claimed_until = clock_timestamp() + $3 * interval '1 second'
             where id = $1 and claimed_by = $2",
        );
        let renew = renew.bind::<SqlUuid, _>(claim.message.id).bind::<Text, _>(&self.name);
        let renew = renew.bind::<BigInt, _>(seconds(lasting));
        let mut session = self.connections.get()?;
        let renewed = ExecuteDsl::execute(renew, &mut **session).map_err(StoreError::from);
        Ok(session.judge(renewed)? > 0)
    }

    /// Marks a message as sent. Returns whether this collector still had the claim. If it had not, the collector that
    /// has the claim says what became of the message.
    ///
    /// # Errors
    /// Returns why the database can't be written. In this case the message is sent again once the claim has run out.
    pub fn mark_sent(&self, claim: &Claim) -> Result<bool, Unavailable> {
        let mark = sql_query(
            "update notifications
             set sent_at = clock_timestamp(), claimed_by = null, claimed_until = null, last_error = null
             where id = $1 and claimed_by = $2",
        );
        let mark = mark.bind::<SqlUuid, _>(claim.message.id).bind::<Text, _>(&self.name);
        let mut session = self.connections.get()?;
        let marked = ExecuteDsl::execute(mark, &mut **session).map_err(StoreError::from);
        Ok(session.judge(marked)? > 0)
    }

    /// Marks a message that was not accepted. It is tried again, unless it is refused for good. When the receiver has
    /// several addresses, a refusal for good counts only if another address has got the message: only then the fault is
    /// of this address, and not of what is between. Returns whether the message was given up.
    ///
    /// # Errors
    /// Returns why the database can't be written. In this case the message is tried again once the claim has run out.
    pub fn mark_failed(
        &self,
        claim: &Claim,
        error: &str,
        is_for_good: bool,
        again_in: Duration,
    ) -> Result<bool, Unavailable> {
        let mut session = self.connections.get()?;
        let marked: QueryResult<Option<Flag>> = sql_query(
            "update notifications n
             set not_before = clock_timestamp() + $4 * interval '1 second', claimed_by = null, claimed_until = null,
                 last_error = $3,
                 given_up_at = case when $5 and (n.address is null or exists (
                     select from notifications o
                     where o.receiver = n.receiver and o.number = n.number and o.sent_at is not null
                 )) then clock_timestamp() end
             where id = $1 and claimed_by = $2
             returning given_up_at is not null as flag",
        )
        .bind::<SqlUuid, _>(claim.message.id)
        .bind::<Text, _>(&self.name)
        .bind::<Text, _>(error)
        .bind::<BigInt, _>(seconds(again_in))
        .bind::<Bool, _>(is_for_good)
        .get_result(&mut **session)
        .optional();
        let marked = session.judge(marked.map_err(StoreError::from))?;
        Ok(marked.is_some_and(|it| it.flag))
    }

    /// Gives up messages that are no longer worth telling, also to receivers and addresses that are gone. Each of them
    /// is returned to one collector only.
    ///
    /// # Errors
    /// Returns why the database can't be written.
    pub fn give_up(&self) -> Result<Vec<GivenUp>, Unavailable> {
        let Ok(mut session) = self.connections.get() else { return Ok(Vec::new()) };
        let outcome = give_up(&mut session);
        Ok(session.judge(outcome)?)
    }
}

fn claim(
    connection: &mut PgConnection,
    receiver: &str,
    addresses: &[String],
    name: &str,
    lasting: Duration,
) -> Result<Option<Row>, StoreError> {
    if !is_there(connection)? {
        return Ok(None);
    }
    if !addresses.is_empty() {
        split(connection, receiver, addresses)?;
    }
    let claimed = sql_query(
        "update notifications
         set claimed_by = $2, claimed_until = clock_timestamp() + $3 * interval '1 second', attempts = attempts + 1
         where id = (
             select n.id from notifications n
             where n.receiver = $1 and n.sent_at is null and n.given_up_at is null
               and n.not_before <= clock_timestamp()
               and (n.claimed_until is null or n.claimed_until < clock_timestamp())
               and (n.address = any($4) or n.address is null and $4 = '{}')
               and not exists (
                   select from notifications o
                   where o.receiver = $1 and o.sent_at is null and o.given_up_at is null and o.number < n.number
                     and (o.address is null or o.address = n.address)
               )
             order by n.number limit 1 for update skip locked
         )
         returning id, receiver, address, payload, attempts",
    )
    .bind::<Text, _>(receiver)
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(seconds(lasting))
    .bind::<Array<Text>, _>(addresses)
    .get_result(connection)
    .optional()?;
    Ok(claimed)
}

/// Splits each message that is due and for all addresses into one message for each address.
fn split(connection: &mut PgConnection, receiver: &str, addresses: &[String]) -> Result<(), StoreError> {
    sql_query(
        "with due as (
             select id from notifications
             where receiver = $1 and address is null and sent_at is null and given_up_at is null
               and not_before <= clock_timestamp()
               and (claimed_until is null or claimed_until < clock_timestamp())
             for update skip locked
         ),
         of_all as (update notifications n set address = $2[1] from due where n.id = due.id returning n.*)
         insert into notifications (number, receiver, address, payload, created_at, not_before)
         overriding system value
         select m.number, m.receiver, a.address, m.payload, m.created_at, m.not_before
         from of_all m, unnest($2[2:]) a(address)",
    )
    .bind::<Text, _>(receiver)
    .bind::<Array<Text>, _>(addresses)
    .execute(connection)?;
    Ok(())
}

fn give_up(connection: &mut PgConnection) -> Result<Vec<GivenUp>, StoreError> {
    if !is_there(connection)? {
        return Ok(Vec::new());
    }
    let all = sql_query(
        "update notifications set given_up_at = clock_timestamp()
         where sent_at is null and given_up_at is null and created_at <= now() - $1 * interval '1 second'
           and (claimed_until is null or claimed_until < clock_timestamp())
         returning id, receiver, address, attempts, last_error",
    )
    .bind::<BigInt, _>(seconds(WORTH_TELLING))
    .load(connection)?;
    Ok(all)
}
