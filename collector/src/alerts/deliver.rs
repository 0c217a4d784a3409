//! Messages to their receivers: claimed, sent, marked.
//!
//! Of one receiver the messages go one after the other, so that no recovery overtakes what it recovers from. What fails
//! is tried again, ever more rarely, for a day.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::message::Message;
use crate::config::alerts::{Receiver, Way};
use crate::rarely::Rarely;
use crate::store::{AlertStore, Unavailable};

mod command;
mod email;
mod webhook;

/// Why a receiver was not told; holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

/// Brings messages to one receiver.
pub struct Courier {
    receiver: Receiver,
    store: AlertStore,
    shift: Arc<Shift>,
    said: Mutex<Rarely>,
}

/// Whether couriers are to go on, and how many are on their way.
#[derive(Debug, Default)]
pub struct Shift {
    is_over: AtomicBool,
    on_their_way: AtomicUsize,
}

/// The first pause after a failure; each further one is twice as long, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

impl Courier {
    /// How often is looked whether there is something to bring.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// A courier to a receiver.
    pub fn new(receiver: Receiver, store: AlertStore, shift: Arc<Shift>) -> Courier {
        Courier { receiver, store, shift, said: Mutex::default() }
    }

    /// Brings all that waits, until something fails.
    ///
    /// # Errors
    /// Why the database can't be read or written.
    pub fn run(&self) -> Result<bool, Unavailable> {
        let _on_its_way = OnItsWay::begin(&self.shift);
        self.bring()
    }

    fn bring(&self) -> Result<bool, Unavailable> {
        let name = self.receiver.name.as_str();
        while !self.shift.is_over.load(Ordering::SeqCst) {
            let Some(claim) = self.store.claim(name, longest(&self.receiver))? else { break };
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            match send(&self.receiver, &claim.message) {
                Ok(()) => {
                    self.store.mark_sent(&claim)?;
                    said.ended();
                    log::info!(receiver = name, message:% = claim.message.id, alerts = claim.message.items.len(); "told a receiver");
                }
                Err(failure) => {
                    self.store.mark_failed(&claim, &failure.to_string(), pause(claim.attempts))?;
                    if let Some(times) = said.happened_for(&failure.to_string()) {
                        log::warn!(receiver = name, times, error:% = failure; "can't tell a receiver: trying again");
                    }
                    break;
                }
            }
        }
        Ok(true)
    }
}

/// One courier's being on its way, which a panic ends, too.
struct OnItsWay<'a>(&'a Shift);

impl OnItsWay<'_> {
    fn begin(shift: &Shift) -> OnItsWay<'_> {
        shift.on_their_way.fetch_add(1, Ordering::SeqCst);
        OnItsWay(shift)
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.on_their_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shift {
    /// Lets nobody begin any more, and waits for those on their way, but not for ever.
    pub async fn end(&self, bound: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        self.is_over.store(true, Ordering::SeqCst);
        let began = Instant::now();
        while self.on_their_way.load(Ordering::SeqCst) > 0 && began.elapsed() < bound {
            tokio::time::sleep(STEP).await;
        }
    }
}

/// How long to wait after so many attempts.
fn pause(attempts: i32) -> Duration {
    let doubled = u32::try_from(attempts - 1).map_or(0, |times| times.min(16));
    (SHORTEST_PAUSE * 2_u32.pow(doubled)).min(LONGEST_PAUSE)
}

/// Longer than a message takes on its way, so that nobody else sends it meanwhile.
fn longest(receiver: &Receiver) -> Duration {
    const SPARE: Duration = Duration::from_secs(10);
    SPARE
        + match &receiver.way {
            Way::Webhook(webhook) => webhook.timeout,
            Way::Email(_) => email::LONGEST,
            Way::Command(command) => command.timeout,
        }
}

/// Sends a message once.
///
/// # Errors
/// Why it was not taken.
pub fn send(receiver: &Receiver, message: &Message) -> Result<(), Failure> {
    match &receiver.way {
        Way::Webhook(webhook) => webhook::send(webhook, message),
        Way::Email(email) => email::send(email, message),
        Way::Command(command) => command::send(command, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!([1, 2, 3, 99].map(|n| pause(n).as_secs()), [5, 10, 20, 600]);
    }
}
