//! `/metrics`: the health of the collector, and in short what it shows of monitors, agents and alerts, so that every
//! user of Prometheus can draw it and set alerts on it. What is read from the database is the same on each collector.
//! What a collector counts is only about itself.
//!
//! Each monitor makes several series in Prometheus. Therefore the number of monitors with metrics is bounded, and a
//! gauge says how many monitors are left out. Retired monitors and agents that are gone have no metrics. Monitors and
//! agents whose ids or names no label should hold have none, either.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use settings::{Asked, FailureKind};
use tokio::time::timeout;

use super::snapshot::Snapshots;
use crate::figures::agent::{AgentRow, Presence};
use crate::figures::alerts::AlertCounts;
use crate::figures::looks::state::Verdict;
use crate::figures::overview::{Overview, Summary};
use crate::figures::word;
use crate::health::Health;

/// How long a scrape waits for the database. Prometheus waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a scrape waits while it is known that the database is away.
const AWAY: Duration = Duration::from_millis(500);
/// The largest length of a label's value, in bytes.
const LABEL: usize = 512;

/// Writes all metrics.
pub(super) struct Teller {
    pub(super) health: Arc<Health>,
    pub(super) snapshots: Arc<Snapshots>,
    /// The largest number of monitors, and of agents, that have metrics.
    pub(super) most: usize,
}

impl Asked for Teller {
    fn hangs(&self) -> Option<&'static str> {
        self.health.hangs()
    }

    async fn metrics(&self) -> String {
        let of = &self.snapshots;
        let read = async { (of.overview_for_programs().await, of.agents().await, of.alerts().await) };
        // The metrics that the collector knows itself, such as that it has no database, must not wait for that
        // database.
        let patience = match self.health.database().reason().map(|failure| failure.kind) {
            // A database that stores nothing can perhaps still be read.
            None | Some(FailureKind::Other | FailureKind::Authorization) => PATIENCE,
            Some(_) => AWAY,
        };
        let (overview, agents, alerts) = match timeout(patience, read).await {
            Ok((overview, agents, alerts)) => (overview.ok(), agents.ok(), alerts.ok()),
            Err(_) => (None, None, None),
        };
        let mut registry = Registry::default();
        self.health.register(&mut registry);
        let is_readable = overview.is_some() && agents.is_some() && alerts.is_some();
        gauge(&mut registry, "collector_reads_database", "0 while what is shown can't be read", is_readable.into());
        if let Some(overview) = overview {
            tell_monitors(&mut registry, &overview, self.most);
        }
        if let Some(agents) = agents {
            tell_agents(&mut registry, &agents, self.most);
        }
        if let Some(alerts) = alerts {
            tell_alerts(&mut registry, alerts);
        }
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

type Labels<const N: usize> = [(&'static str, String); N];
type Of<const N: usize> = Family<Labels<N>, Gauge>;
type Fraction = Family<Labels<1>, Gauge<f64, AtomicU64>>;

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(format!("website_monitor_{name}"), help, gauge);
}

/// Escapes the value of a label, because prometheus-client writes it unchanged.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Returns whether a label should hold that text.
fn is_label(text: &str) -> bool {
    text.len() <= LABEL && !text.contains(char::is_control)
}

fn tell_monitors(registry: &mut Registry, overview: &Overview, most: usize) {
    let all: Vec<&Summary> = overview.monitors.iter().filter(|monitor| !monitor.is_retired).collect();
    let told = all.iter().filter(|monitor| is_label(&monitor.id)).take(most);
    let (success, verdict, expiry) = (Of::<1>::default(), Of::<2>::default(), Of::<1>::default());
    let (uptime, coverage, time) = (Fraction::default(), Fraction::default(), Fraction::default());
    let mut count = 0;
    for monitor in told {
        count += 1;
        let label = || ("monitor", escaped(&monitor.id));
        let is_up = match monitor.state.verdict {
            Verdict::Up | Verdict::Partial => Some(1),
            Verdict::Down => Some(0),
            Verdict::Unknown => None,
        };
        if let Some(is_up) = is_up {
            success.get_or_create(&[label()]).set(is_up);
        }
        verdict.get_or_create(&[label(), ("verdict", word(monitor.state.verdict))]).set(1);
        if let Some(first_end) = monitor.state.certificate_first_end() {
            expiry.get_or_create(&[label()]).set(first_end.as_second());
        }
        if let Some(share) = monitor.counts.uptime() {
            uptime.get_or_create(&[label()]).set(share);
        }
        if let Some(share) = monitor.counts.coverage() {
            coverage.get_or_create(&[label()]).set(share);
        }
        if let Some(p95) = monitor.times.p95_us {
            time.get_or_create(&[label()]).set(p95 / 1e6);
        }
    }
    let left_out = i64::try_from(all.len() - count).unwrap_or(i64::MAX);
    gauge(registry, "monitors", "Monitors that an agent is to look at", all.len().try_into().unwrap_or(i64::MAX));
    gauge(registry, "monitors_left_out", "Monitors without metrics", left_out);
    gauge(
        registry,
        "snapshot_timestamp_seconds",
        "The moment to which the metrics of monitors refer",
        overview.as_of.as_second(),
    );
    registry.register("probe_success", "0 while every agent that looks sees it fail; absent while none looks", success);
    registry.register("website_monitor_verdict", "1 for the present verdict on a monitor", verdict);
    registry.register(
        "probe_ssl_earliest_cert_expiry",
        "The earliest end of all certificates that the latest checks relied on",
        expiry,
    );
    registry.register("website_monitor_uptime_ratio", "The uptime of what was seen in 24 hours", uptime);
    registry.register(
        "website_monitor_coverage_ratio",
        "The share of the due results of 24 hours that arrived",
        coverage,
    );
    registry.register("website_monitor_response_time_p95_seconds", "The p95 of the response times of 24 hours", time);
}

fn tell_agents(registry: &mut Registry, agents: &[AgentRow], most: usize) {
    let (pending, seen, presence) = (Of::<1>::default(), Of::<1>::default(), Of::<2>::default());
    let (behind, doubled) = (Fraction::default(), Of::<1>::default());
    let all: Vec<&AgentRow> = agents.iter().filter(|agent| agent.presence != Presence::Retired).collect();
    let mut count = 0;
    for agent in all.iter().filter(|agent| is_label(&agent.name)).take(most) {
        count += 1;
        let label = || ("agent", escaped(&agent.name));
        pending.get_or_create(&[label()]).set(agent.pending);
        behind.get_or_create(&[label()]).set(agent.clock_behind_us as f64 / 1e6);
        doubled.get_or_create(&[label()]).set(agent.doubled.into());
        presence.get_or_create(&[label(), ("presence", word(agent.presence))]).set(1);
        if let Some(last_seen) = agent.last_seen {
            seen.get_or_create(&[label()]).set(last_seen.as_second());
        }
    }
    let left_out = i64::try_from(all.len() - count).unwrap_or(i64::MAX);
    gauge(registry, "agents_left_out", "Agents without metrics", left_out);
    registry.register(
        "website_monitor_agent_pending",
        "Records that waited in its outbox at its latest report",
        pending,
    );
    registry.register(
        "website_monitor_agent_last_seen_timestamp_seconds",
        "When the latest report of an agent was stored",
        seen,
    );
    let help = "How far its clock is behind the database's at least; negative: it is ahead; 0: it may be right";
    registry.register("website_monitor_agent_clock_behind_seconds", help, behind);
    registry.register("website_monitor_agent_doubled", "1 while two hosts report under its name", doubled);
    registry.register(
        "website_monitor_agent_presence",
        "1 for the present state of an agent: running, stopped or silent",
        presence,
    );
}

fn tell_alerts(registry: &mut Registry, alerts: AlertCounts) {
    let by_state = Of::<1>::default();
    let AlertCounts { pending, firing, suppressed, waiting, oldest } = alerts;
    for (state, count) in [("pending", pending), ("firing", firing), ("suppressed", suppressed)] {
        by_state.get_or_create(&[("state", state.into())]).set(count);
    }
    let help = "The number of alerts; those in a maintenance are suppressed; the same on each collector";
    registry.register("website_monitor_alerts", help, by_state);
    let help = "Messages that are due and not accepted; the same on each collector";
    gauge(registry, "notifications_waiting", help, waiting);
    gauge(
        registry,
        "notifications_oldest_seconds",
        "The age of the oldest message that is due and not accepted",
        oldest.as_secs(),
    );
}
