//! Evaluates the rules every ten seconds, in one collector at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use super::notifier;
use crate::alerts::evaluate::evaluate;
use crate::alerts::{Away, Facts};
use crate::config::Alerts;
use crate::health::Health;
use crate::store::AlertStore;
use crate::unavailable::Unavailable;

/// How often alerts are evaluated.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// A collector that was away from the database for this time, or from Kafka at all, can't tell whether agents were
/// silent in that time.
const DEAF: Duration = Duration::from_secs(60);

/// Evaluates the rules, which moves alerts on.
pub struct Evaluator {
    config: Alerts,
    page: Option<String>,
    store: AlertStore,
    health: Arc<Health>,
    hearing: Mutex<Option<Hearing>>,
}

/// The moments since which, and when last, the collector reached both the database and Kafka.
#[derive(Clone, Copy)]
struct Hearing {
    since: Instant,
    last: Instant,
}

impl Evaluator {
    /// Creates an evaluator of these rules. `page` is the url at which people find the status pages. `health` knows
    /// whether Kafka is there, and records how the evaluations go.
    pub fn new(config: Alerts, page: Option<String>, store: AlertStore, health: Arc<Health>) -> Evaluator {
        Evaluator { config, page, store, health, hearing: Mutex::default() }
    }

    /// Evaluates all rules, unless another collector does, and gives up messages that are too old. Returns false while
    /// the tables are not there.
    ///
    /// # Errors
    /// Returns why the database can't be read or written.
    pub fn run(&self) -> Result<bool, Unavailable> {
        self.health.asks_database();
        let outcome = self.run_once();
        self.health.hears_of_database(matches!(outcome, Ok(true)));
        outcome
    }

    fn run_once(&self) -> Result<bool, Unavailable> {
        let given_up = self.store.give_up()?;
        notifier::say(&given_up);
        self.health.alerting().gave_up(given_up.len());
        let began = Instant::now();
        let since = hears_since(*self.hearing(), self.health.reaches_kafka(), began);
        let mut is_ours = false;
        let outcome = self.store.evaluate(&self.config, |facts, known| {
            // A collector that was not there to hear an agent can't call the agent silent.
            let heard_since = facts.as_of.checked_sub(began - since).unwrap_or(Timestamp::MIN);
            let facts = Facts { heard_since, kafka: self.without_kafka(facts.as_of), ..facts };
            is_ours = true;
            let changes = evaluate(&self.config, self.page.as_deref(), &facts, known);
            let milliseconds = began.elapsed().as_millis();
            log::debug!(monitors = facts.monitors.len(), changed = changes.alerts.len(), milliseconds:%; "evaluated alerts");
            changes
        });
        if matches!(outcome, Ok(true)) {
            if is_ours {
                self.health.alerting().evaluated(began.elapsed());
            }
            *self.hearing() = Some(Hearing { since, last: Instant::now() });
        }
        outcome
    }

    /// Returns that Kafka is away, with the moment since when by the database's clock; none while Kafka is there.
    fn without_kafka(&self, as_of: Timestamp) -> Option<Away> {
        let since = self.health.without_kafka_since()?;
        let since = as_of.checked_sub(since.elapsed()).unwrap_or(Timestamp::MIN);
        Some(Away { since, reason: self.health.kafka().reason().map(|failure| failure.text) })
    }

    fn hearing(&self) -> MutexGuard<'_, Option<Hearing>> {
        self.hearing.lock()
    }
}

/// Returns the moment since which this collector has heard everything without a gap.
fn hears_since(before: Option<Hearing>, reaches_kafka: bool, now: Instant) -> Instant {
    before.filter(|it| reaches_kafka && now - it.last < DEAF).map_or(now, |it| it.since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_from_kafka_or_the_database_hears_only_from_when_it_is_back() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let before = Some(Hearing { since: began, last: after(10) });
        assert_eq!(hears_since(None, true, began), began);
        assert_eq!(hears_since(before, true, after(20)), began);
        assert_eq!(hears_since(before, true, after(70)), after(70));
        assert_eq!(hears_since(before, false, after(20)), after(20));
    }
}
