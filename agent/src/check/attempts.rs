//! How often a check is tried, and when no more.
//!
//! A failed attempt is followed by another after a short pause, `retries` times at most. Each has the monitor's timeout,
//! but none goes on beyond the interval, since the next slot's check is due then; one that would get less than half of
//! either is not begun. When the agent stops, nothing is tried again.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::config::Monitor;

const PAUSE: Duration = Duration::from_secs(1);

/// How long this monitor's checks pause between attempts.
fn pause(monitor: &Monitor) -> Duration {
    PAUSE.min(monitor.interval / 10)
}

/// The attempts of one check.
pub(super) struct Attempts<'a> {
    monitor: &'a Monitor,
    /// When the next slot is due.
    end: Instant,
    made: u32,
}

impl<'a> Attempts<'a> {
    /// The attempts of a check that begins now, so long after its slot.
    pub(super) fn of(monitor: &'a Monitor, late: Duration) -> Attempts<'a> {
        Attempts { monitor, end: Instant::now() + monitor.interval.saturating_sub(late), made: 0 }
    }

    /// How many were made.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// The timeout of the next attempt, once it is its time.
    pub(super) fn next(&mut self, stop: &Stop) -> Option<Duration> {
        let timeout = self.monitor.timeout;
        if self.made == 0 {
            self.made = 1;
            return Some(timeout);
        }
        let pause = pause(self.monitor);
        let left = self.end.saturating_duration_since(Instant::now()).saturating_sub(pause);
        if self.made > self.monitor.retries || left < timeout.min(self.monitor.interval) / 2 || stop.comes_within(pause)
        {
            return None;
        }
        self.made += 1;
        Some(timeout.min(left))
    }
}

/// Whether the agent stops.
#[derive(Default)]
pub(super) struct Stop {
    stopping: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// The agent stops.
    pub(super) fn stop(&self) {
        *self.stopping.lock() = true;
        self.changed.notify_all();
    }

    /// Waits for so long, or until the agent stops.
    fn comes_within(&self, pause: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        self.changed.wait_while_for(&mut stopping, |stopping| !*stopping, pause);
        *stopping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::monitor;

    fn retrying(interval: Duration, timeout: Duration) -> Monitor {
        Monitor { retries: 2, interval, timeout, ..monitor("http://127.0.0.1/") }
    }

    #[test]
    fn a_check_is_tried_once_and_so_often_again() {
        let monitor = retrying(Duration::from_secs(60), Duration::from_secs(5));
        let monitor = Monitor { interval: Duration::from_secs(3_600), ..monitor };
        let (mut attempts, stop) = (Attempts::of(&monitor, Duration::ZERO), Stop::default());
        // Three attempts with a pause of a second each would be slow to wait for.
        attempts.end += Duration::from_secs(3_600);
        assert_eq!(attempts.next(&stop), Some(monitor.timeout));
        stop.stop();
        assert_eq!(attempts.next(&stop), None, "the agent stops");
        assert_eq!(attempts.made(), 1);
    }

    #[test]
    fn no_attempt_goes_on_beyond_the_interval() {
        let monitor = retrying(Duration::from_millis(100), Duration::from_millis(80));
        let (mut attempts, stop) = (Attempts::of(&monitor, Duration::ZERO), Stop::default());
        assert_eq!(attempts.next(&stop), Some(monitor.timeout), "the first one has its timeout in any case");
        if let Some(second) = attempts.next(&stop) {
            assert!(second <= monitor.timeout);
        }
        attempts.end = Instant::now();
        assert_eq!(attempts.next(&stop), None);
    }

    #[test]
    fn a_check_that_began_late_has_less_time_for_attempts() {
        let monitor = retrying(Duration::from_secs(60), Duration::from_secs(5));
        let (mut attempts, stop) = (Attempts::of(&monitor, Duration::from_secs(58)), Stop::default());
        assert_eq!(attempts.next(&stop), Some(monitor.timeout));
        assert_eq!(attempts.next(&stop), None);
    }
}
