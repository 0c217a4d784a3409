//! The metrics of the agent, in OpenMetrics' text format.

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Health;

impl Health {
    /// All of them, as they are now. Counters count from the agent's start, but for what was dropped.
    pub(super) fn text(&self) -> String {
        let seen = self.seen.lock();
        let mut registry = Registry::default();
        registry.register("website_monitor_checks", "Checks that were made", self.checks.clone());
        let missed = Family::<Vec<(String, String)>, Counter>::default();
        for (reason, count) in &seen.missed {
            missed.get_or_create(&vec![("reason".to_owned(), reason.clone())]).inc_by(*count);
        }
        registry.register("website_monitor_slots_missed", "Slots without a check", missed);
        settings::register_failure(
            &mut registry,
            "website_monitor_kafka_failing",
            "1 while Kafka takes no records, by the reason that is shown",
            seen.kafka.as_ref(),
        );
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = Counter::<u64>::default();
            counter.inc_by(value);
            registry.register(name, help, counter);
        };
        counter("website_monitor_published", "Records that Kafka has acknowledged", seen.published);
        let appended = seen.outbox.as_ref().map_or(0, |outbox| outbox.appended);
        counter("website_monitor_outbox_appended", "Records made durable", appended);
        if let Some(outbox) = &seen.outbox {
            counter("website_monitor_dropped", "Records ever dropped from this outbox, each declared", outbox.dropped);
        }
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge = Gauge::<i64>::default();
            gauge.set(value.try_into().unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        };
        gauge("website_monitor_outbox_refused", "1 while the outbox's disk takes no records", seen.is_refused().into());
        gauge("website_monitor_outbox_in_memory", "Results that wait in memory for the disk", seen.in_memory);
        gauge(
            "website_monitor_outbox_thrown_away",
            "Results thrown away for want of memory, not declared yet",
            seen.thrown_away,
        );
        gauge(
            "config_last_reload_successful",
            "0 while the agent runs with an older configuration than its file's",
            (!seen.is_reload_refused).into(),
        );
        if let Some(outbox) = &seen.outbox {
            let oldest =
                outbox.oldest_pending.map_or(0, |oldest| Timestamp::now().duration_since(oldest.appended_at).as_secs());
            gauge("website_monitor_outbox_pending", "Records that wait for Kafka", outbox.pending);
            gauge("website_monitor_outbox_bytes", "Bytes of the outbox on disk", outbox.bytes);
            // A clock that was set back makes no negative age.
            gauge(
                "website_monitor_outbox_oldest_seconds",
                "Age of the first that waits",
                oldest.try_into().unwrap_or(0),
            );
            gauge("website_monitor_outbox_damaged_chunks", "Damaged chunks that are kept aside", outbox.damaged);
        }
        drop(seen);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a String takes everything");
        text
    }
}
