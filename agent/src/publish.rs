//! Sends records from the outbox to Kafka. No other module of the agent uses rdkafka.
//!
//! ```text
//!  outbox.read ──▶ window ──▶ producer ──▶ broker
//!                    ▲                        │ acks=all
//!  outbox.acknowledge ◀── delivery reports ◀──┘
//! ```
//!
//! One thread does all of this, so no state is shared between threads. It connects, fills the window, polls, and moves the
//! cursor over what was delivered without a gap.
//!
//! - Only a delivery report without an error moves the cursor. Whatever else happens (a timeout, an unknown topic, a
//!   refused login, a fatal error), the entries stay in the outbox and are sent again.
//! - After a failure the producer is purged; what had not been delivered is sent again after a pause that grows. When
//!   nothing was delivered since the last failure, or the error is fatal, a new producer is built.
//! - A record that the broker finds too large even when it is sent alone is declared dropped; it stops no other.
//! - Why Kafka takes no records is said when it begins and when the reason changes, and then rarely. The reasons come
//!   from librdkafka's connections; so a broker that refuses a running agent is noticed before records time out.

mod all;
mod link;
mod oversized;
mod pace;
mod reachability;
mod silence;
mod window;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use settings::Failure;

use crate::outbox::Outbox;
pub use all::{SendError, send_all};
use reachability::Reachability;
use worker::Worker;

/// Most records in flight.
const RECORDS: usize = 10_000;
/// Most bytes of payloads in flight.
const BYTES: usize = 8 * 1024 * 1024;

/// What librdkafka finds wrong with a configuration before it connects to anything.
///
/// # Errors
/// In one line that names the property.
pub fn check(kafka: &settings::Kafka) -> Result<(), String> {
    link::check(kafka)
}

/// The running publisher. Dropping it ends the thread without a last attempt.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
    outbox: Outbox,
    state: Reachability,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// Somebody waits for the outbox to be empty.
    draining: AtomicBool,
    published: AtomicU64,
    wake: Mutex<()>,
    woken: Condvar,
}

impl Shared {
    /// Ends a pause of the thread.
    fn wake(&self) {
        drop(self.wake.lock());
        self.woken.notify_all();
    }
}

impl Publisher {
    /// Starts publishing as `agent`, from the outbox's cursor on.
    pub fn start(agent: &str, kafka: &settings::Kafka, outbox: Outbox) -> std::io::Result<Publisher> {
        let (shared, state) = (Arc::new(Shared::default()), Reachability::default());
        let worker = Worker::new(agent, kafka, outbox.clone(), Arc::clone(&shared), state.clone());
        let thread = thread::Builder::new().name("publish".into()).spawn(move || worker.run())?;
        Ok(Publisher { shared, outbox, state, thread: Some(thread) })
    }

    /// Records that Kafka has acknowledged since the start.
    pub fn published(&self) -> u64 {
        self.shared.published.load(Ordering::Relaxed)
    }

    /// Why Kafka takes no records; none when it does, or when it was not asked yet.
    pub fn trouble(&self) -> Option<Failure> {
        self.state.reason()
    }

    /// Whether Kafka took records again after it had not since this was last asked.
    pub fn take_is_back(&self) -> bool {
        self.state.take_is_back()
    }

    /// Whether the thread still runs, as it does until it is stopped.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Waits until Kafka has everything that the outbox holds now, at most `patience`; whether it has.
    pub fn drain(&self, patience: Duration) -> bool {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.wake();
        let drained = self.outbox.wait_acknowledged(self.outbox.last(), patience);
        self.shared.draining.store(false, Ordering::Relaxed);
        drained
    }

    /// Ends the thread. What is in flight may be sent again by the next start.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("the publisher panicked");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests;
