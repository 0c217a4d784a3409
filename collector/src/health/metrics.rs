//! The metrics, in OpenMetrics' text format.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Health;

impl Health {
    /// All of them, as they are now. The counter counts from the collector's start; a lag that is not known is absent.
    pub(super) fn text(&self) -> String {
        let mut registry = Registry::with_prefix("website_monitor_collector");
        let stored = Counter::<u64>::default();
        stored.inc_by(self.stored.load(Ordering::Relaxed));
        registry.register("stored", "Messages that were stored, or found to be", stored);
        let mut gauge = |name: &str, help: &str, value: i64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        };
        gauge("ready", "1 once its tables are up to date", self.is_ready().into());
        gauge("waits_for_database", "1 while something can't be stored", self.waits_for_database().into());
        let lag = self.lag.load(Ordering::Relaxed);
        if lag >= 0 {
            gauge("lag_messages", "Messages that are still to be read", lag);
        }
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_tell_the_lag_once_it_is_known() {
        let health = Health::new(1);
        health.ends(0, 5);
        health.waits(0);
        let metrics = health.text();
        for line in ["stored_total 5", "ready 0", "waits_for_database 1"] {
            assert!(metrics.contains(&format!("\nwebsite_monitor_collector_{line}\n")), "{metrics}");
        }
        assert!(!metrics.contains("lag_messages"), "{metrics}");
        health.lags(12);
        assert!(health.text().contains("\nwebsite_monitor_collector_lag_messages 12\n"));
    }
}
