//! How the agent fares, as its last tick saw it: in a line for systemd, and as metrics for anyone who asks.
//!
//! ```text
//! tick ──▶ Health ──▶ STATUS=                  systemd, where it listens
//!             └─────▶ GET /metrics, /healthz   where `http.listen` says so
//! ```
//! What is shown is a copy, so that no one who asks waits for a disk.

mod metrics;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use sd_notify::NotifyState;
use settings::{Asked, Failure, terminal};
use wire::Outcome;

use crate::outbox::Status;

/// How long a tick may be under way before it counts as one that hangs: as long as systemd's watchdog waits.
const TICKING: Duration = Duration::from_secs(30);

/// One label: its name and its value.
type Label = [(&'static str, &'static str); 1];

/// What a tick saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) monitors: usize,
    /// None while the outbox can't be opened.
    pub(super) outbox: Option<Status>,
    /// Results that wait in memory.
    pub(super) in_memory: u64,
    /// Results thrown away for want of memory, until they are declared.
    pub(super) thrown_away: u64,
    /// Records that Kafka has acknowledged since the start.
    pub(super) published: u64,
    /// Why Kafka takes no records; none when it does, or when it was not asked yet.
    pub(super) kafka: Option<Failure>,
    /// Slots without a check, by reason.
    pub(super) missed: BTreeMap<String, u64>,
    /// The last reload was refused.
    pub(super) is_reload_refused: bool,
    /// The loop that hangs.
    pub(super) hangs: Option<&'static str>,
}

impl Seen {
    /// Whether the outbox's disk takes no records.
    pub(super) fn is_refused(&self) -> bool {
        self.outbox.as_ref().is_none_or(|outbox| outbox.refused.is_some())
    }

    /// In a line.
    fn status(&self) -> String {
        let monitors = match (self.monitors, self.is_reload_refused) {
            (1, false) => "1 monitor".to_owned(),
            (monitors, false) => format!("{monitors} monitors"),
            (monitors, true) => format!("the last reload was refused; {monitors} monitors as before"),
        };
        match &self.outbox {
            None => format!("{monitors}; the outbox can't be opened: {} results wait in memory", self.in_memory),
            Some(Status { refused: Some(error), .. }) => {
                format!("{monitors}; the outbox's disk refuses ({error}): {} results wait in memory", self.in_memory)
            }
            Some(Status { pending, .. }) => {
                let why = self.kafka.as_ref().map(|failure| format!(" ({failure})")).unwrap_or_default();
                format!(
                    "{monitors}; {pending} results wait for Kafka{why}, {} delivered since the start",
                    self.published
                )
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Health {
    seen: Mutex<Seen>,
    /// When that was; none before the first tick.
    ticked: Mutex<Option<Instant>>,
    /// What systemd was told last.
    said: Mutex<String>,
    checks: Family<Label, Counter>,
    /// All of them, whatever came out.
    made: AtomicU64,
}

impl Health {
    /// A check was made.
    pub(super) fn checked(&self, outcome: Outcome) {
        self.checks.get_or_create(&[("outcome", outcome.as_str())]).inc();
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// How many checks were made.
    pub(super) fn checks(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Which part hangs at this time, be it the tick itself, which tells of the others.
    fn hangs_at(&self, now: Instant) -> Option<&'static str> {
        let ticked = *self.ticked.lock();
        if ticked.is_none_or(|ticked| now.saturating_duration_since(ticked) > TICKING) {
            return Some("tick");
        }
        self.seen.lock().hangs
    }

    /// Takes note of how things are.
    pub(super) fn saw(&self, seen: Seen) {
        let status = seen.status();
        *self.seen.lock() = seen;
        *self.ticked.lock() = Some(Instant::now());
        let mut said = self.said.lock();
        if *said != status {
            tell(&[NotifyState::Status(&terminal::shown(&status))]);
            *said = status;
        }
    }
}

impl Asked for Health {
    fn hangs(&self) -> Option<&'static str> {
        self.hangs_at(Instant::now())
    }

    async fn metrics(&self) -> String {
        self.text()
    }
}

/// Tells systemd, if it started the agent and listens.
pub(super) fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!(error:%; "systemd could not be told how the agent fares");
    }
}

/// Tells systemd that the configuration is read again. That this is over says [`NotifyState::Ready`].
pub(super) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::debug!(error:%; "systemd is not told of the reload: there is no clock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anyone_who_asks_is_told_of_the_part_that_hangs() {
        let (health, now) = (Health::default(), Instant::now());
        assert_eq!(health.hangs_at(now), Some("tick"), "none has ended yet");
        health.saw(Seen::default());
        assert_eq!(health.hangs_at(now), None);
        assert_eq!(health.hangs_at(Instant::now() + 2 * TICKING), Some("tick"));
        health.saw(Seen { hangs: Some("schedule"), ..Seen::default() });
        assert_eq!(health.hangs_at(now), Some("schedule"));
    }
}
