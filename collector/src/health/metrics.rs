//! The metrics of what the collector does.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use settings::register_failure;

use super::Health;

impl Health {
    /// Registers all metrics with their present values. Counters count from the collector's start. A lag that is not
    /// known is absent.
    pub fn register(&self, registry: &mut Registry) {
        self.tally.register(registry);
        self.alerting.register(registry);
        for (part, outage) in [("kafka", &self.kafka), ("database", &self.database)] {
            let name = format!("website_monitor_{part}_failing");
            let help = format!("1 while the {part} can't be used, by the reason that is shown");
            register_failure(registry, &name, &help, outage.reason().as_ref());
        }
        let help = "The seconds from the beginning of a batch to its end";
        registry.register("website_monitor_batch_seconds", help, self.batches.clone());
        let mut gauge = |name: &str, help: &str, value: i64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        };
        gauge("website_monitor_collector_ready", "1 once its tables are up to date", self.is_ready().into());
        let waits = self.waits_for_database();
        gauge("website_monitor_collector_waits_for_database", "1 while something can't be stored", waits.into());
        gauge("website_monitor_collector_reaches_kafka", "1 while a broker answers", self.reaches_kafka().into());
        if let Some(lag) = self.lag() {
            gauge("website_monitor_collector_lag_messages", "Messages that are still to be read", lag);
        }
        let by_partition = Family::<[(&str, String); 1], Gauge>::default();
        for (partition, lag) in &*self.by_partition() {
            by_partition.get_or_create(&[("partition", partition.to_string())]).set(*lag);
        }
        registry.register(
            "website_monitor_consumer_lag",
            "Messages that are still to be read, by partition of this collector",
            by_partition,
        );
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    fn text(health: &Health) -> String {
        let mut registry = Registry::default();
        health.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn the_metrics_tell_the_lag_once_it_is_known() {
        let health = Health::new(1);
        health.waits(0);
        let metrics = text(&health);
        for line in ["ready 0", "waits_for_database 1", "reaches_kafka 0"] {
            assert!(metrics.contains(&format!("\nwebsite_monitor_collector_{line}\n")), "{metrics}");
        }
        assert!(!metrics.contains("lag_messages") && !metrics.contains("partition="), "{metrics}");
        health.lags([(0, 12), (3, 30)].into());
        let metrics = text(&health);
        assert!(metrics.contains("\nwebsite_monitor_collector_lag_messages 42\n"), "{metrics}");
        assert!(metrics.contains("\nwebsite_monitor_consumer_lag{partition=\"3\"} 30\n"), "{metrics}");
    }

    #[test]
    fn what_became_of_messages_is_counted_over_all_stores() {
        let health = Health::new(1);
        health.tally().clone().stored(5, 2);
        health.tally().stored(1, 0);
        health.tally().rejected("not_json");
        health.begins(0);
        health.ends(0, 8);
        let metrics = text(&health);
        for line in
            ["stored_total 6", "replayed_total 2", "rejected_total{reason=\"not_json\"} 1", "batch_seconds_count 1"]
        {
            assert!(metrics.contains(&format!("\nwebsite_monitor_{line}\n")), "{metrics}");
        }
    }
}
