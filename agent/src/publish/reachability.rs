//! What is said of whether Kafka takes records.

use std::time::{Duration, Instant};

use crate::outbox::Outbox;

/// How often a lasting state is said again.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// Whether Kafka takes records, said once when it changes and rarely after.
pub(super) struct Reachability {
    away_since: Option<Instant>,
    said: Option<(Instant, String)>,
}

impl Reachability {
    pub(super) fn new() -> Reachability {
        Reachability { away_since: None, said: None }
    }

    pub(super) fn failed(&mut self, error: &str, outbox: &Outbox) {
        self.away_since.get_or_insert_with(Instant::now);
        let news = match &self.said {
            Some((at, said)) => {
                said != error && at.elapsed() >= Duration::from_secs(30) || at.elapsed() >= REMIND_EVERY
            }
            None => true,
        };
        if news {
            let pending = outbox.pending();
            log::warn!(error, pending; "kafka takes no records; results wait in the outbox");
            self.said = Some((Instant::now(), error.to_owned()));
        }
    }

    pub(super) fn delivered(&mut self, outbox: &Outbox) {
        if let Some(since) = self.away_since.take() {
            let pending = outbox.pending();
            log::info!(pending, away_seconds = since.elapsed().as_secs(); "kafka takes records again");
            self.said = None;
        }
    }
}
