//! Whether a check that took too long was waiting for its site, or for a CPU of this machine.
//!
//! The kernel counts for each thread how long it ran, and how long it was ready to run and did not (`schedstat`). The
//! file stays open, since a check is worth a hundred microseconds and opening it takes several. What the kernel does not
//! count, such as a process that was stopped, shows in how long after its deadline a check came to its end.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use wire::Outcome;

use super::outcome::Fault;

/// A check that ran for longer was kept busy by its peer, which sends without end.
const BUSY: Duration = Duration::from_millis(50);

thread_local! {
    static SCHEDSTAT: RefCell<Option<File>> = RefCell::new(File::open("/proc/thread-self/schedstat").ok());
}

/// What this thread had run and waited when it began something.
pub(super) struct Cpu {
    began: Instant,
    before: Counted,
}

/// What the kernel counted for a thread.
#[derive(Clone, Copy, Default)]
struct Counted {
    ran: Duration,
    queued: Duration,
}

impl Cpu {
    /// This thread begins something.
    pub(super) fn begin() -> Cpu {
        Cpu { began: Instant::now(), before: counted().unwrap_or_default() }
    }

    /// The fault of a check that took too long: this machine's, where it kept the check waiting for half of its time.
    pub(super) fn judge(&self, fault: Fault, timeout: Duration) -> Fault {
        if !matches!(fault.outcome(), Outcome::Timeout | Outcome::TooSlow) {
            return fault;
        }
        let now = counted().unwrap_or(self.before);
        let ran = now.ran.saturating_sub(self.before.ran);
        let queued = now.queued.saturating_sub(self.before.queued);
        blame(fault, Counted { ran, queued }, self.began.elapsed(), timeout)
    }
}

fn blame(fault: Fault, counted: Counted, took: Duration, timeout: Duration) -> Fault {
    let queued = if counted.ran < BUSY { counted.queued } else { Duration::ZERO };
    let waited = queued.max(took.saturating_sub(timeout));
    if waited < timeout / 2 {
        return fault;
    }
    let text = format!("this machine had no CPU for the check for {waited:.1?} of {took:.1?}: {}", fault.text());
    Fault::new(Outcome::AgentError, text)
}

fn counted() -> Option<Counted> {
    SCHEDSTAT.with_borrow(|file| {
        let mut text = [0; 80];
        let length = file.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut numbers = std::str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace();
        let mut next = || numbers.next()?.parse().map(Duration::from_nanos).ok();
        Some(Counted { ran: next()?, queued: next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn outcome(outcome: Outcome, queued: Duration, took: Duration) -> Outcome {
        blame(Fault::new(outcome, "x"), Counted { ran: SECOND / 100, queued }, took, 2 * SECOND).outcome()
    }

    #[test]
    fn a_machine_without_cpu_is_to_blame_for_half_of_the_time_and_more() {
        assert_eq!(outcome(Outcome::Timeout, SECOND / 2, 2 * SECOND), Outcome::Timeout);
        assert_eq!(outcome(Outcome::Timeout, SECOND, 2 * SECOND), Outcome::AgentError);
        assert_eq!(outcome(Outcome::TooSlow, SECOND, SECOND * 3 / 2), Outcome::AgentError);
    }

    #[test]
    fn a_process_that_was_stopped_shows_in_how_late_it_ends() {
        assert_eq!(outcome(Outcome::Timeout, Duration::ZERO, SECOND * 5 / 2), Outcome::Timeout);
        assert_eq!(outcome(Outcome::Timeout, Duration::ZERO, 60 * SECOND), Outcome::AgentError);
    }

    #[test]
    fn a_peer_that_keeps_the_agent_busy_is_to_blame_itself() {
        let counted = Counted { ran: SECOND / 5, queued: SECOND };
        let fault = blame(Fault::new(Outcome::Timeout, "x"), counted, 2 * SECOND, 2 * SECOND);
        assert_eq!(fault.outcome(), Outcome::Timeout);
    }

    #[test]
    fn what_is_no_matter_of_time_keeps_its_fault() {
        let fault = Fault::new(Outcome::ConnectionRefused, "x");
        assert_eq!(Cpu::begin().judge(fault, Duration::ZERO).outcome(), Outcome::ConnectionRefused);
    }

    #[test]
    fn the_kernel_counts_more_and_more() {
        // Where it counts at all.
        if let Some(before) = counted() {
            std::thread::yield_now();
            let after = counted().unwrap();
            assert!(after.ran >= before.ran && after.queued >= before.queued);
        }
    }
}
