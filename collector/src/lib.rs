//! The collector: Kafka's messages into PostgreSQL, each result once, and the proof of it.
//!
//! ```text
//! Kafka ──▶ consume ── batch ──▶ store ──▶ PostgreSQL ──▶ verify
//!                                               └──────▶ alerts ──▶ receivers
//! ```
//! `consume` knows no SQL, `store` knows no Kafka; [`run`] puts them together.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use settings::LogThrottle;
use tokio::task::JoinHandle;

pub mod alerts;
pub mod args;
pub mod batch;
pub mod commands;
pub mod config;
pub mod consume;
pub mod figures;
pub mod health;
pub mod passage;
pub mod position;
pub mod ranges;
pub mod report;
pub mod store;
pub mod verify;
pub mod web;

use alerts::{Courier, Evaluator, Shift, Watch};
use batch::Batch;
use config::alerts::Receiver;
use config::{Alerts, Config, Database, Http};
use consume::Sink;
use health::Health;
use position::{Log, Start, Written};
use store::{Reader, Rollup, Store, Unavailable, Upkeep};
use web::access::Access;
use web::snapshot::Snapshots;
use web::{Site, Source};

/// How long the end of a run waits for what hangs in a system call.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// How long the end of a run waits for messages that are on their way.
const LAST_MESSAGE: Duration = Duration::from_secs(10);

/// How soon upkeep is tried again after a failure.
const SOON: Duration = Duration::from_secs(5);

impl Sink for Store {
    fn prepare(&mut self, is_over: &dyn Fn() -> bool) {
        Store::prepare(self, is_over);
    }

    fn locate(&mut self, log: &Log, partitions: &[i32], is_over: &dyn Fn() -> bool) -> Option<Start> {
        Store::locate(self, log, partitions, is_over)
    }

    fn write(&mut self, batch: &Batch, is_over: &dyn Fn() -> bool) -> Written {
        Store::write(self, batch, is_over)
    }
}

/// Consumes and stores until `stop` resolves; then finishes the batch, commits, and leaves the group. A group that fills
/// another database is joined only where `take_over_group` says so.
///
/// # Errors
/// When no thread can be had, librdkafka refuses the configuration, or the group is another database's.
pub fn run(config: Config, take_over_group: bool, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(run_in(config, take_over_group, stop));
    runtime.shutdown_timeout(LAST_CALLS);
    outcome
}

async fn run_in(config: Config, take_over_group: bool, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    config.warnings().iter().for_each(|warning| log::warn!("{warning}"));
    let Config { kafka, database, batch, retention, http, alerts, .. } = config;
    log::info!(
        topic = kafka.topic.as_str(), group = kafka.group.as_str(), kafka = kafka.bootstrap_servers.as_str(),
        database:% = database.address, schema = database.schema.as_str(); "started"
    );
    let stopping = Arc::new(AtomicBool::new(false));
    let health = Arc::new(Health::new(database.writers() as usize));
    let store = Store::new(&database, retention).telling(&health);
    let shift = Arc::<Shift>::default();
    let mut beside = vec![spawn_upkeep(store.upkeep(retention)), spawn_rollup(store.rollup())];
    beside.extend(spawn_alerts(alerts, http.url.clone(), &store, &health, &shift));
    let mut stores: Vec<Store> = (1..database.writers()).map(|_| store.beside()).collect();
    stores.push(store);
    let consuming = tokio::task::spawn_blocking({
        let (stopping, health) = (stopping.clone(), health.clone());
        move || consume::run(&kafka, batch, stores, &health, take_over_group, &stopping)
    });
    let mut consuming = pin!(consuming);
    let connections = database.connections.max(Snapshots::READINGS);
    let reader = Reader::new(&Database { connections, ..database });
    let routes = shown(&http, Arc::new(reader), &health);
    let outcome = tokio::select! {
        outcome = &mut consuming => outcome,
        never = health.tell() => match never {},
        never = settings::serve(http.listen, http.tls, routes) => match never {},
        () = stop => {
            log::info!("stopping");
            health::tell_stopping();
            stopping.store(true, Ordering::Relaxed);
            consuming.await
        }
    };
    // What is being told is told to its end, so that it is not told again.
    shift.end(LAST_MESSAGE).await;
    beside.iter().for_each(JoinHandle::abort);
    outcome??;
    log::info!("stopped");
    Ok(())
}

/// Everything there is over HTTP.
fn shown(http: &Http, source: Arc<dyn Source>, health: &Arc<Health>) -> Router {
    let site = Site { snapshots: Arc::new(Snapshots::new(source)), public: http.public.clone() };
    web::routes::routes(site, Access::new(http), health.clone(), http.monitor_metrics)
}

fn spawn_upkeep(upkeep: Upkeep) -> JoinHandle<()> {
    tokio::spawn(look_after("can't make or drop partitions", Pace::sparing(Upkeep::INTERVAL), move || upkeep.run()))
}

fn spawn_rollup(rollup: Rollup) -> JoinHandle<()> {
    tokio::spawn(look_after("can't sum up hours", Pace::sparing(Rollup::INTERVAL), move || rollup.run()))
}

/// Evaluates rules and tells receivers. Without rules, too: what others began has to end.
fn spawn_alerts(
    alerts: Alerts,
    page: Option<String>,
    store: &Store,
    health: &Arc<Health>,
    shift: &Arc<Shift>,
) -> Vec<JoinHandle<()>> {
    let courier = |receiver: &Receiver| {
        let courier = Courier::new(receiver.clone(), store.alerts(), health.clone(), shift.clone());
        let failure = "can't look for messages to receivers";
        tokio::spawn(look_after(failure, Pace::steady(Courier::INTERVAL), move || courier.run()))
    };
    let mut tasks: Vec<JoinHandle<()>> = alerts.receivers.iter().map(courier).collect();
    let watch = |receiver| Watch::of(&alerts, receiver, page.clone(), health.clone(), shift.clone());
    tasks.extend(alerts.receivers.iter().filter_map(watch).map(|watch| {
        let failure = "can't tell receivers of the database";
        tokio::spawn(look_after(failure, Pace::steady(Watch::INTERVAL), move || watch.run()))
    }));
    let evaluator = Evaluator::new(alerts, page, store.alerts(), health.clone());
    tasks.push(tokio::spawn(look_after("can't evaluate alerts", Pace::sparing(alerts::INTERVAL), move || {
        evaluator.run()
    })));
    tasks
}

/// How soon something is done again.
#[derive(Clone, Copy)]
struct Pace {
    interval: Duration,
    /// So many times as long as it took, at least.
    spare: u32,
    /// After a failure.
    soon: Duration,
}

impl Pace {
    /// Of what is work for us or the database: it never fills a core.
    fn sparing(interval: Duration) -> Pace {
        Pace { interval, spare: 5, soon: SOON }
    }

    /// Of what mostly waits for others.
    fn steady(interval: Duration) -> Pace {
        Pace { spare: 0, ..Pace::sparing(interval) }
    }

    fn pause(self, took: Duration) -> Duration {
        self.interval.max(self.spare * took)
    }
}

/// Does `once` again and again, whether it fails or panics.
async fn look_after(
    failure: &'static str,
    pace: Pace,
    once: impl Fn() -> Result<bool, Unavailable> + Send + Sync + 'static,
) {
    let once = Arc::new(once);
    let mut said = LogThrottle::default();
    loop {
        let began = Instant::now();
        let now = once.clone();
        let pause = match tokio::task::spawn_blocking(move || now()).await {
            Ok(Ok(true)) => {
                said.ended();
                pace.pause(began.elapsed())
            }
            Ok(Ok(false)) => pace.soon,
            Ok(Err(error)) => {
                if let Some(times) = said.happened(&error.to_string(), 1, began) {
                    log::warn!(times, error:% = error; "{failure}: trying again");
                }
                pace.soon
            }
            Err(error) if error.is_panic() => {
                if let Some(times) = said.happened("panic", 1, began) {
                    log::error!(times; "{failure}, as it panicked: trying again");
                }
                pace.soon
            }
            // The run is at its end.
            Err(_) => return,
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn what_panics_is_done_again() {
        let (told, mut is_told) = tokio::sync::mpsc::unbounded_channel();
        let count = AtomicUsize::new(0);
        let once = move || {
            assert!(count.fetch_add(1, Ordering::Relaxed) > 0, "the first time it panics");
            Ok(told.send(()).is_ok())
        };
        let at_once = Pace { soon: Duration::ZERO, ..Pace::steady(Duration::ZERO) };
        tokio::select! {
            told = is_told.recv() => assert_eq!(told, Some(())),
            () = look_after("can't do it", at_once, once) => panic!("it gave up"),
        }
    }

    #[test]
    fn only_what_is_work_for_us_pauses_for_longer_when_it_took_long() {
        let after = |pace: Pace| [1, 3].map(|took| pace.pause(Duration::from_secs(took)).as_secs());
        assert_eq!(after(Pace::sparing(Duration::from_secs(10))), [10, 15]);
        assert_eq!(after(Pace::steady(Duration::from_secs(1))), [1, 1]);
    }
}
