//! The health of the collector. It is told to systemd (ready, a line of status, and a watchdog that is fed only while
//! the loops run), and to every client that asks over HTTP.
//!
//! ```text
//! consuming loop ──▶ beat, lag ─┐          ┌─ every second ──▶ READY=1, STATUS=, WATCHDOG=1
//! writing threads ─▶ beat, rows ┴─▶ Health ┴─▶ GET /metrics, /healthz, /readyz   where `http.listen` says so
//! ```
//!
//! A writer that waits for its database still beats, because an unreachable database is no reason for a restart. It is
//! no reason to delay a boot, either: after a while without it the collector is ready, and the status says what it
//! waits for.

mod alerting;
mod asking;
mod metrics;
mod tally;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use alerting::Alerting;
use asking::Asking;
use parking_lot::{Mutex, MutexGuard};
use prometheus_client::metrics::histogram::Histogram;
use sd_notify::NotifyState;
use settings::{Outage, terminal};
pub use tally::Tally;
use tokio::time::{MissedTickBehavior, interval};

/// How often systemd is told.
const TICK: Duration = Duration::from_secs(1);
/// How long the collector waits for the tables before it is ready without them.
const TABLES: Duration = Duration::from_secs(20);
/// The longest time between two beats of the consuming loop. It waits for Kafka, a rebalance and a last commit for
/// seconds.
const CONSUMING: Duration = Duration::from_secs(120);
/// The longest time between two beats of a busy writer. One transaction of a large batch on a slow database, or of a
/// batch that is halved, takes long.
const WRITING: Duration = Duration::from_secs(1800);
/// The number of seconds over which messages per second are counted.
const RATE: u32 = 10;

/// The bounds of the histogram of batches: from an idle batch to one that waits for its database.
const BATCH_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What the loops report about themselves.
#[derive(Debug)]
pub struct Health {
    began: Instant,
    consuming: Beat,
    writing: Vec<Writer>,
    stored: AtomicU64,
    /// The number of messages that are still to be read, by partition. It is empty while it is not known.
    lags: Mutex<BTreeMap<i32, i64>>,
    /// The moment since which no broker answers; none while one answers.
    no_broker_since: Mutex<Option<Instant>>,
    kafka: Outage,
    database: Outage,
    asking: Mutex<Asking>,
    tally: Tally,
    alerting: Alerting,
    /// The durations of the batches that stored messages, in seconds.
    batches: Histogram,
}

#[derive(Debug, Default)]
struct Writer {
    beat: Beat,
    /// The moment when its batch was begun.
    begun: Beat,
    /// Whether it has a batch, so that its beat is expected.
    is_busy: AtomicBool,
    /// Whether its tables are up to date.
    is_ready: AtomicBool,
    /// Whether it waits because its batch cannot be stored now.
    is_waiting: AtomicBool,
}

/// The moment of a loop's last round, in milliseconds since the start.
#[derive(Debug, Default)]
struct Beat(AtomicU64);

impl Health {
    /// Creates the health of a collector that has this number of writers. No writer is ready yet.
    pub fn new(writers: usize) -> Health {
        Health {
            began: Instant::now(),
            consuming: Beat::default(),
            writing: (0..writers).map(|_| Writer::default()).collect(),
            stored: AtomicU64::new(0),
            lags: Mutex::default(),
            no_broker_since: Mutex::new(Some(Instant::now())),
            kafka: Outage::default(),
            database: Outage::default(),
            asking: Mutex::default(),
            tally: Tally::default(),
            alerting: Alerting::default(),
            batches: Histogram::new(BATCH_SECONDS),
        }
    }

    /// Notes that the consuming loop made a round.
    pub fn consumes(&self) {
        self.consuming.0.store(self.now(), Ordering::Relaxed);
    }

    /// Notes how many messages are still to be read, by partition.
    pub fn lags(&self, messages: BTreeMap<i32, i64>) {
        *self.by_partition() = messages;
    }

    /// Notes whether a broker answers.
    pub fn hears_of_kafka(&self, is_there: bool) {
        let mut since = self.no_broker();
        *since = if is_there { None } else { since.or_else(|| Some(Instant::now())) };
    }

    /// Returns whether a broker answered the last time.
    pub fn reaches_kafka(&self) -> bool {
        self.no_broker().is_none()
    }

    /// Returns the moment since which nothing can be read from Kafka, because no broker answers or because none lets
    /// the collector read; none while Kafka can be read.
    pub fn without_kafka_since(&self) -> Option<Instant> {
        [*self.no_broker(), self.kafka.since()].into_iter().flatten().min()
    }

    /// Notes that the database is asked a question that it should answer soon.
    pub fn asks_database(&self) {
        self.asking().begins(Instant::now());
    }

    /// Notes whether the database answered.
    pub fn hears_of_database(&self, is_there: bool) {
        self.asking().ended(is_there, Instant::now());
    }

    /// Returns the moment since which the database does not answer or does not store; none while it does both.
    pub fn without_database_since(&self) -> Option<Instant> {
        [self.asking().vain_since(Instant::now()), self.database.since()].into_iter().flatten().min()
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock()
    }

    fn no_broker(&self) -> MutexGuard<'_, Option<Instant>> {
        self.no_broker_since.lock()
    }

    /// Returns whether Kafka can be read, and why it cannot.
    pub fn kafka(&self) -> &Outage {
        &self.kafka
    }

    /// Returns whether the database stores, and why it does not.
    pub fn database(&self) -> &Outage {
        &self.database
    }

    /// Returns the counts of what stores do with messages.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Returns the counts of what is done about alerts.
    pub fn alerting(&self) -> &Alerting {
        &self.alerting
    }

    /// Notes that a writer's tables are up to date.
    pub fn is_prepared(&self, writer: usize) {
        self.writing[writer].is_waiting.store(false, Ordering::Relaxed);
        self.writing[writer].is_ready.store(true, Ordering::Relaxed);
    }

    /// Notes that a writer has begun a batch.
    pub fn begins(&self, writer: usize) {
        self.beat(writer);
        self.writing[writer].begun.0.store(self.now(), Ordering::Relaxed);
        self.writing[writer].is_busy.store(true, Ordering::Relaxed);
    }

    /// Notes that a writer waits for its database.
    pub fn waits(&self, writer: usize) {
        self.beat(writer);
        self.writing[writer].is_waiting.store(true, Ordering::Relaxed);
    }

    /// Notes that a writer has ended a batch that stored this number of messages.
    pub fn ends(&self, writer: usize, stored: u64) {
        self.writing[writer].is_busy.store(false, Ordering::Relaxed);
        self.writing[writer].is_waiting.store(false, Ordering::Relaxed);
        self.stored.fetch_add(stored, Ordering::Relaxed);
        if stored > 0 {
            let begun = self.writing[writer].begun.0.load(Ordering::Relaxed);
            self.batches.observe(Duration::from_millis(self.now().saturating_sub(begun)).as_secs_f64());
        }
    }

    fn beat(&self, writer: usize) {
        self.writing[writer].beat.0.store(self.now(), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns whether the tables are there for all writers.
    fn is_ready(&self) -> bool {
        self.writing.iter().all(|writer| writer.is_ready.load(Ordering::Relaxed))
    }

    /// Returns the number of messages that are still to be read, once it is known.
    fn lag(&self) -> Option<i64> {
        let lags = self.by_partition();
        (!lags.is_empty()).then(|| lags.values().sum())
    }

    fn by_partition(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.lags.lock()
    }

    /// Returns which parts that are needed for storing results are not there.
    pub fn lacks(&self) -> Vec<&'static str> {
        let is_stored = self.is_ready() && !self.waits_for_database();
        let lacks = [(is_stored, "the database"), (self.reaches_kafka(), "Kafka")];
        lacks.into_iter().filter_map(|(is_there, part)| (!is_there).then_some(part)).collect()
    }

    /// Returns which loop hangs. A database that is away is no reason to restart.
    pub fn hangs(&self) -> Option<&'static str> {
        self.stalled(self.began.elapsed())
    }

    fn waits_for_database(&self) -> bool {
        self.writing.iter().any(|writer| writer.is_waiting.load(Ordering::Relaxed))
    }

    /// Returns which loop has not made a round for too long, at that time since the start.
    fn stalled(&self, now: Duration) -> Option<&'static str> {
        let silent = |beat: &Beat| now.saturating_sub(Duration::from_millis(beat.0.load(Ordering::Relaxed)));
        let hangs = |writer: &Writer| writer.is_busy.load(Ordering::Relaxed) && silent(&writer.beat) > WRITING;
        if silent(&self.consuming) > CONSUMING {
            Some("consuming loop")
        } else if self.writing.iter().any(hangs) {
            Some("writer")
        } else {
            None
        }
    }

    /// Returns the status as one line, with the number of messages that were stored in the last seconds.
    fn status(&self, stored: u64, seconds: u64) -> String {
        let lag = self.lag().map_or_else(|| "lag not known yet".to_owned(), |lag| format!("{lag} messages behind"));
        let rate = stored as f64 / seconds.max(1) as f64;
        let why = |outage: &Outage| outage.reason().map(|failure| format!(" ({failure})")).unwrap_or_default();
        let kafka = match self.kafka.is_on() {
            true => format!("waits for Kafka{}; ", why(&self.kafka)),
            false => String::new(),
        };
        let database = match (self.waits_for_database(), self.is_ready()) {
            (true, _) => format!("waits for the database{}; {lag}", why(&self.database)),
            (false, false) => "brings the tables up to date".to_owned(),
            (false, true) => format!("{lag}, {rate:.1} messages stored a second"),
        };
        kafka + &database
    }

    /// Tells systemd how the collector is, if systemd started the collector and listens.
    pub async fn tell(&self) -> Infallible {
        let watched = sd_notify::watchdog_enabled().is_some();
        let (mut said, mut is_ready, mut stalled_before) = (String::new(), false, None);
        let mut counts = Vec::new();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !is_ready && (self.is_ready() || self.began.elapsed() > TABLES) {
                is_ready = true;
                notify(&[NotifyState::Ready]);
            }
            counts.push(self.stored.load(Ordering::Relaxed));
            if counts.len() > RATE as usize + 1 {
                counts.remove(0);
            }
            let status = self.status(counts[counts.len() - 1] - counts[0], counts.len() as u64 - 1);
            if said != status {
                notify(&[NotifyState::Status(&terminal::shown(&status))]);
                said = status;
            }
            let stalled = self.stalled(self.began.elapsed());
            match stalled {
                None if watched => notify(&[NotifyState::Watchdog]),
                Some(part) if stalled != stalled_before => log::error!("the {part} hangs"),
                _ => {}
            }
            stalled_before = stalled;
        }
    }
}

/// Tells systemd that the collector stops.
pub fn tell_stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!(error:% = error; "systemd could not be told how the collector fares");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_consuming_loop_that_stands_still_is_noticed() {
        let health = Health::new(1);
        assert_eq!(health.stalled(Duration::ZERO), None);
        assert_eq!(health.stalled(LONG), Some("consuming loop"));
    }

    #[test]
    fn a_writer_is_expected_to_get_on_only_while_it_has_a_batch() {
        let health = Health::new(2);
        health.begins(1);
        health.consuming.0.store(3_600_000, Ordering::Relaxed);
        assert_eq!(health.stalled(LONG), Some("writer"));
        health.ends(1, 5);
        assert_eq!(health.stalled(LONG), None);
    }

    #[test]
    fn what_is_lacking_is_told_until_tables_and_kafka_are_there() {
        let health = Health::new(1);
        assert_eq!(health.lacks(), ["the database", "Kafka"]);
        health.is_prepared(0);
        health.hears_of_kafka(true);
        assert_eq!(health.lacks(), [""; 0]);
        health.waits(0);
        health.hears_of_kafka(false);
        assert_eq!(health.lacks(), ["the database", "Kafka"]);
    }

    #[test]
    fn the_status_tells_what_is_waited_for_then_lag_and_rate() {
        let health = Health::new(2);
        assert_eq!(health.status(0, 0), "brings the tables up to date");
        health.waits(0);
        assert_eq!(health.status(0, 1), "waits for the database; lag not known yet");
        (0..2).for_each(|writer| health.is_prepared(writer));
        health.lags([(0, 5), (1, 7)].into());
        assert_eq!(health.status(50, 10), "12 messages behind, 5.0 messages stored a second");
    }
}
