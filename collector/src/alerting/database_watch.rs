//! Tells receivers that the database has been away, and that it is back.
//!
//! Only the process remembers what it told about the database. A process that starts again while the database is still
//! away tells it again once the database has been away for as long as the rule says. The end of an outage that an
//! earlier process told is not told unless the next process told the outage, too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use settings::LogThrottle;
use uuid::Uuid;

use super::notifier::pause;
use super::shutdown::Shutdown;
use crate::alerts::{away_details, signed};
use crate::config::Alerts;
use crate::config::alerts::{Maintenance, Receiver, What};
use crate::health::Health;
use crate::notify::{Details, Item, Kind, Message};
use crate::unavailable::Unavailable;

/// The subject of an alert about the database.
const DATABASE: &str = "database";

/// Tells one receiver directly that the database is away, and that it is back.
pub struct DatabaseWatch {
    receiver: Receiver,
    /// The name and the duration of each rule that tells this receiver.
    rules: Vec<(String, Duration)>,
    maintenance: Vec<Maintenance>,
    page: Option<String>,
    health: Arc<Health>,
    shutdown: Arc<Shutdown>,
    telling: Mutex<Telling>,
}

/// What was told by each rule to each address.
#[derive(Default)]
struct Telling {
    of_each: BTreeMap<(String, Option<String>), Told>,
    said: LogThrottle,
}

/// What a receiver knows about the database.
#[derive(Debug, Default)]
struct Told {
    /// The moment since which the database was away, as it was told; none when the end was told, or nothing.
    since: Option<Timestamp>,
    /// The reason that was told.
    details: Details,
    /// The message that was not accepted yet: its kind, its id, how often it was tried, and when it is tried again.
    refused: Option<(Kind, Uuid, i32, Instant)>,
}

impl Told {
    /// Returns what is to be told now: that the database is away, or that it is back.
    fn due(&self, away_since: Option<Timestamp>, lasting: Duration, now: Timestamp) -> Option<(Kind, Timestamp)> {
        match (self.since, away_since) {
            (None, Some(since)) if now.duration_since(since) >= signed(lasting) => Some((Kind::Firing, since)),
            (Some(since), None) => Some((Kind::Resolved, since)),
            _ => None,
        }
    }

    /// Returns the id and the number of earlier attempts of a message that is tried now; none while it is too early to
    /// try it again.
    fn attempt(&self, kind: Kind, now: Instant) -> Option<(Uuid, i32)> {
        match self.refused {
            Some((of, id, attempts, again)) if of == kind => (now >= again).then_some((id, attempts)),
            _ => Some((Uuid::new_v4(), 0)),
        }
    }

    fn is_taken(&mut self, kind: Kind, since: Timestamp, details: Details) {
        *self = match kind {
            Kind::Firing => Told { since: Some(since), details, refused: None },
            _ => Told::default(),
        };
    }

    fn is_refused(&mut self, kind: Kind, id: Uuid, attempts: i32, now: Instant) {
        self.refused = Some((kind, id, attempts + 1, now + pause(attempts + 1)));
    }
}

impl DatabaseWatch {
    /// How often the watch looks whether something is to be told.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// Creates the watch for a receiver; none when no `blind` rule tells this receiver. `page` is the url at which
    /// people find the status pages.
    pub fn of(
        config: &Alerts,
        receiver: &Receiver,
        page: Option<String>,
        health: Arc<Health>,
        shutdown: Arc<Shutdown>,
    ) -> Option<DatabaseWatch> {
        let tells = |rule: &&crate::config::alerts::Rule| config.receivers_of(rule).any(|name| name == receiver.name);
        let rules: Vec<_> = config
            .rules
            .iter()
            .filter(tells)
            .filter_map(|rule| match rule.what {
                What::Blind { lasting } => Some((rule.name.clone(), lasting)),
                _ => None,
            })
            .collect();
        let (receiver, maintenance) = (receiver.clone(), config.maintenance.clone());
        let telling = Mutex::default();
        (!rules.is_empty()).then_some(DatabaseWatch { receiver, rules, maintenance, page, health, shutdown, telling })
    }

    /// Tells once what is due.
    ///
    /// # Errors
    /// Returns no error. A message that is not accepted is tried again.
    pub fn run(&self) -> Result<bool, Unavailable> {
        let _on_its_way = self.shutdown.begin();
        if self.shutdown.is_over() {
            return Ok(true);
        }
        let now = Timestamp::now();
        let away_since = self.health.without_database_since().map(|since| {
            let passed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
            now.saturating_sub(passed).unwrap_or(now)
        });
        let is_silenced =
            self.maintenance.iter().any(|window| window.when.covers(now) && window.covers_agent(DATABASE));
        if is_silenced {
            return Ok(true);
        }
        let mut telling = self.telling.lock();
        let Telling { of_each, said } = &mut *telling;
        let addresses = self.receiver.channel.addresses();
        let each = if addresses.is_empty() { vec![None] } else { addresses.into_iter().map(Some).collect() };
        for address in each {
            for (rule, lasting) in &self.rules {
                let told = of_each.entry((rule.clone(), address.clone())).or_default();
                if let Some((kind, since)) = told.due(away_since, *lasting, now) {
                    self.tell(told, said, rule, address.clone(), kind, since);
                }
            }
        }
        Ok(true)
    }

    fn tell(
        &self,
        told: &mut Told,
        said: &mut LogThrottle,
        rule: &str,
        address: Option<String>,
        kind: Kind,
        since: Timestamp,
    ) {
        let Some((id, attempts)) = told.attempt(kind, Instant::now()) else { return };
        let details = match kind {
            Kind::Firing => self.details(),
            _ => told.details.clone(),
        };
        let item = Item {
            kind,
            rule: rule.into(),
            what: What::Blind { lasting: Duration::ZERO }.as_str().into(),
            subject: DATABASE.into(),
            details: details.clone(),
            since,
            at: Timestamp::now(),
            page: self.page.as_ref().map(|page| format!("{page}/agents")),
        };
        let message = Message { id, receiver: self.receiver.name.clone(), address, items: vec![item] };
        let receiver = message.whom();
        let outcome = self.receiver.channel.send(&message);
        self.health.alerting().tried(self.receiver.channel.as_str(), outcome.is_ok());
        match outcome {
            Ok(()) => {
                told.is_taken(kind, since, details);
                said.ended();
                log::info!(receiver, message:% = id; "told a receiver directly of the database");
            }
            Err(failure) => {
                told.is_refused(kind, id, attempts, Instant::now());
                if let Some(times) = said.happened(&failure.to_string(), 1, Instant::now()) {
                    log::warn!(receiver, times, error:% = failure; "can't tell a receiver of the database: trying again");
                }
            }
        }
    }

    fn details(&self) -> Details {
        let reason = self.health.database().reason().map(|failure| failure.text);
        away_details(DATABASE, "nothing is stored, and no other alert can be told", reason.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn that_the_database_is_away_is_told_once_and_that_it_is_back_once() {
        let mut told = Told::default();
        assert_eq!(told.due(Some(at(0)), MINUTE, at(59)), None);
        assert_eq!(told.due(None, MINUTE, at(59)), None, "what was over before is not told");
        assert_eq!(told.due(Some(at(0)), MINUTE, at(60)), Some((Kind::Firing, at(0))));
        told.is_taken(Kind::Firing, at(0), Details::default());
        assert_eq!(told.due(Some(at(0)), MINUTE, at(9_999)), None);
        assert_eq!(told.due(None, MINUTE, at(9_999)), Some((Kind::Resolved, at(0))));
        told.is_taken(Kind::Resolved, at(0), Details::default());
        assert_eq!(told.due(None, MINUTE, at(10_000)), None);
        assert_eq!(told.due(Some(at(10_000)), MINUTE, at(10_060)), Some((Kind::Firing, at(10_000))), "another episode");
    }

    #[test]
    fn what_is_not_taken_is_told_again_under_its_id_after_a_pause_and_its_end_only_where_it_was_taken() {
        let (mut told, now) = (Told::default(), Instant::now());
        let (id, attempts) = told.attempt(Kind::Firing, now).unwrap();
        told.is_refused(Kind::Firing, id, attempts, now);
        assert_eq!(told.attempt(Kind::Firing, now), None);
        assert_eq!(told.attempt(Kind::Firing, now + MINUTE), Some((id, 1)));
        assert_eq!(told.due(None, MINUTE, at(999)), None);
        told.is_taken(Kind::Firing, at(0), Details::default());
        assert_ne!(told.attempt(Kind::Resolved, now).unwrap().0, id);
    }
}
