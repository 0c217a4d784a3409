//! Counts what was done with messages since the start.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The counts of all stores together. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    stored: Counter,
    replayed: Counter,
    rejected: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Tally {
    /// Counts results that became rows, and messages that were known before.
    pub fn stored(&self, results: u64, replayed: u64) {
        self.stored.inc_by(results);
        self.replayed.inc_by(replayed);
    }

    /// Counts a message that was set aside.
    pub fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("website_monitor_stored", "Results that became rows", self.stored.clone());
        registry.register("website_monitor_replayed", "Messages that the ledger knew", self.replayed.clone());
        registry.register("website_monitor_rejected", "Messages that were set aside", self.rejected.clone());
    }
}
