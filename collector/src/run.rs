//! A run of the collector: it starts everything that works at the same time, and stops it at the end.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::task::JoinHandle;

use crate::alerting::database_watch::DatabaseWatch;
use crate::alerting::evaluator::{self, Evaluator};
use crate::alerting::notifier::Notifier;
use crate::alerting::shutdown::Shutdown;
use crate::batch::Batch;
use crate::config::alerts::Receiver;
use crate::config::{Alerts, Config, Database, Http};
use crate::consume::{self, Sink};
use crate::figures::source::Source;
use crate::health::{self, Health};
use crate::periodic::{Pace, repeat};
use crate::position::{Log, Start, Written};
use crate::store::{Reader, Rollup, Store, Upkeep};
use crate::web::request::access::Access;
use crate::web::snapshot::Snapshots;
use crate::web::{Site, routes};

/// How long the end of a run waits for threads that hang in a system call.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// How long the end of a run waits for messages that are being sent to receivers.
const LAST_MESSAGE: Duration = Duration::from_secs(10);

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

/// Consumes and stores until `stop` resolves. Then it finishes the batch, commits, and leaves the group. It joins a
/// group that fills another database only where `take_over_group` is set.
///
/// # Errors
/// Fails when no thread can be started, when librdkafka refuses the configuration, or when the group belongs to another
/// database.
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
    let shutdown = Arc::<Shutdown>::default();
    let mut beside = vec![spawn_upkeep(store.upkeep(retention)), spawn_rollup(store.rollup())];
    beside.extend(spawn_alerts(alerts, http.url.clone(), &store, &health, &shutdown));
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
    // Messages that are being sent are sent to the end, so that they are not sent again.
    shutdown.end(LAST_MESSAGE).await;
    beside.iter().for_each(JoinHandle::abort);
    outcome??;
    log::info!("stopped");
    Ok(())
}

/// Returns the routes of everything that the collector serves over HTTP.
fn shown(http: &Http, source: Arc<dyn Source>, health: &Arc<Health>) -> Router {
    let site = Site { snapshots: Arc::new(Snapshots::new(source)), public: http.public.clone() };
    routes::routes(site, Access::new(http), health.clone(), http.monitor_metrics)
}

fn spawn_upkeep(upkeep: Upkeep) -> JoinHandle<()> {
    tokio::spawn(repeat("can't make or drop partitions", Pace::sparing(Upkeep::INTERVAL), move || upkeep.run()))
}

fn spawn_rollup(rollup: Rollup) -> JoinHandle<()> {
    tokio::spawn(repeat("can't sum up hours", Pace::sparing(Rollup::INTERVAL), move || rollup.run()))
}

/// Evaluates rules and tells receivers. It also runs without rules, because alerts that earlier rules began have to
/// end.
fn spawn_alerts(
    alerts: Alerts,
    page: Option<String>,
    store: &Store,
    health: &Arc<Health>,
    shutdown: &Arc<Shutdown>,
) -> Vec<JoinHandle<()>> {
    let notifier = |receiver: &Receiver| {
        let notifier = Notifier::new(receiver.clone(), store.alerts(), health.clone(), shutdown.clone());
        let failure = "can't look for messages to receivers";
        tokio::spawn(repeat(failure, Pace::steady(Notifier::INTERVAL), move || notifier.run()))
    };
    let mut tasks: Vec<JoinHandle<()>> = alerts.receivers.iter().map(notifier).collect();
    let watch = |receiver| DatabaseWatch::of(&alerts, receiver, page.clone(), health.clone(), shutdown.clone());
    tasks.extend(alerts.receivers.iter().filter_map(watch).map(|watch| {
        let failure = "can't tell receivers of the database";
        tokio::spawn(repeat(failure, Pace::steady(DatabaseWatch::INTERVAL), move || watch.run()))
    }));
    let evaluator = Evaluator::new(alerts, page, store.alerts(), health.clone());
    tasks.push(tokio::spawn(repeat("can't evaluate alerts", Pace::sparing(evaluator::INTERVAL), move || {
        evaluator.run()
    })));
    tasks
}
