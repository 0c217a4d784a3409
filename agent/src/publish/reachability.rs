//! Logs whether Kafka takes records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use settings::{Failure, Outage};

use crate::outbox::Outbox;

/// Whether Kafka takes records. The log says it when it changes and when the reason does, and then rarely; the status
/// and the metrics show the reason for as long as it lasts.
#[derive(Clone, Debug, Default)]
pub(super) struct Reachability {
    outage: Outage,
    /// Kafka took records again, and that was not asked for since.
    is_back: Arc<AtomicBool>,
}

impl Reachability {
    /// Kafka did not take records.
    pub(super) fn failed(&self, failure: &Failure, outbox: &Outbox) {
        if let Some(times) = self.outage.failed(failure, Instant::now()) {
            let pending = outbox.pending();
            log::warn!(error:% = failure, times, pending; "kafka takes no records; results wait in the outbox");
        }
    }

    /// Kafka took records.
    pub(super) fn delivered(&self, outbox: &Outbox) {
        if let Some(away) = self.outage.ended(Instant::now()) {
            let pending = outbox.pending();
            log::info!(pending, away_seconds = away.as_secs(); "kafka takes records again");
            self.is_back.store(true, Ordering::Relaxed);
        }
    }

    /// Whether Kafka took records again after it had not since this was last asked.
    pub(super) fn take_is_back(&self) -> bool {
        self.is_back.swap(false, Ordering::Relaxed)
    }

    /// Why Kafka takes no records; none when it does, or when it was not asked yet.
    pub(super) fn reason(&self) -> Option<Failure> {
        self.outage.reason()
    }
}
