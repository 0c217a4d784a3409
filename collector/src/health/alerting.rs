//! Counts what this collector does about alerts since its start. The metrics have the names that Alertmanager and
//! Prometheus use for the same things.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type ByWay = Family<[(&'static str, &'static str); 1], Counter>;

/// The counts of evaluations, and of messages to receivers. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub struct Alerting {
    evaluated_at: Gauge<f64, AtomicU64>,
    took: Gauge<f64, AtomicU64>,
    tried: ByWay,
    failed: ByWay,
    given_up: Counter,
}

impl Alerting {
    /// Notes that rules were evaluated, and how long it took.
    pub fn evaluated(&self, took: Duration) {
        self.evaluated_at.set(Timestamp::now().as_duration().as_secs_f64());
        self.took.set(took.as_secs_f64());
    }

    /// Notes that a receiver has this channel, so that its counts begin at zero.
    pub fn knows(&self, way: &'static str) {
        for counts in [&self.tried, &self.failed] {
            drop(counts.get_or_create(&label(way)));
        }
    }

    /// Counts a try to send a message, and whether it was accepted.
    pub fn tried(&self, way: &'static str, is_taken: bool) {
        self.tried.get_or_create(&label(way)).inc();
        if !is_taken {
            self.failed.get_or_create(&label(way)).inc();
        }
    }

    /// Counts messages that were given up.
    pub fn gave_up(&self, messages: usize) {
        self.given_up.inc_by(messages as u64);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let mut gauge = |name: &str, help: &str, of: &Gauge<f64, AtomicU64>| {
            registry.register(format!("website_monitor_rule_group_{name}_seconds"), help, of.clone());
        };
        let help = "When this collector last evaluated rules; 0: not yet, or another collector always did";
        gauge("last_evaluation_timestamp", help, &self.evaluated_at);
        gauge("last_duration", "How long the last evaluation of rules took", &self.took);
        let mut counter = |name: &str, help: &str, of: &ByWay| {
            registry.register(format!("website_monitor_notifications{name}"), help, of.clone());
        };
        counter("", "Messages that this collector tried to bring to receivers, each time", &self.tried);
        counter("_failed", "Messages that receivers did not accept, each time", &self.failed);
        let help = "Messages that this collector gave up";
        registry.register("website_monitor_notifications_given_up", help, self.given_up.clone());
    }
}

fn label(way: &'static str) -> [(&'static str, &'static str); 1] {
    [("integration", way)]
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_is_told_is_counted_by_the_way_and_from_zero_on() {
        let (alerting, mut registry, mut text) = (Alerting::default(), Registry::default(), String::new());
        ["webhook", "email"].into_iter().for_each(|way| alerting.knows(way));
        [true, false, true].into_iter().for_each(|is_taken| alerting.tried("email", is_taken));
        alerting.gave_up(2);
        alerting.evaluated(Duration::from_millis(250));
        alerting.register(&mut registry);
        encode(&mut text, &registry).unwrap();
        for line in [
            "notifications_total{integration=\"email\"} 3",
            "notifications_total{integration=\"webhook\"} 0",
            "notifications_failed_total{integration=\"email\"} 1",
            "notifications_failed_total{integration=\"webhook\"} 0",
            "notifications_given_up_total 2",
            "rule_group_last_duration_seconds 0.25",
        ] {
            assert!(text.contains(&format!("\nwebsite_monitor_{line}\n")), "{line}: {text}");
        }
    }
}
