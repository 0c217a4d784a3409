//! Brings messages to their receivers: claims a message, sends it, and marks it as sent.
//!
//! The messages to one receiver go one after the other, so that the message about a recovery never overtakes the
//! message about the failure. When a receiver has addresses, this holds for each address. A message that fails is tried
//! again for a day, with ever longer pauses. A message that is refused for good is given up.
//!
//! A claim is short, so that another collector soon takes over from one that died. The claim is renewed for as long as
//! the message is on its way, because a mail server may take minutes to accept it.

use std::collections::BTreeMap;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use settings::LogThrottle;

use super::shutdown::Shutdown;
use crate::config::alerts::Receiver;
use crate::health::Health;
use crate::notify::whom;
use crate::store::{AlertStore, Claim, GivenUp};
use crate::unavailable::Unavailable;

/// Brings messages to one receiver.
pub struct Notifier {
    receiver: Receiver,
    addresses: Vec<String>,
    store: AlertStore,
    health: Arc<Health>,
    shutdown: Arc<Shutdown>,
    /// The throttle of log lines for each address.
    said: Mutex<BTreeMap<Option<String>, LogThrottle>>,
}

/// The first pause after a failure. Each further pause is twice as long, up to the longest pause.
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How long a claim lasts, during which no other collector sends the message.
const CLAIM: Duration = Duration::from_secs(30);
/// How often a claim is renewed while its message is on its way. A claim is renewed several times before it would run
/// out, because a database may be slow.
const RENEWAL: Duration = Duration::from_secs(5);

impl Notifier {
    /// How often the notifier looks whether a message waits.
    pub const INTERVAL: Duration = Duration::from_secs(1);

    /// Creates a notifier for one receiver. It counts in `health` what it does.
    pub fn new(receiver: Receiver, store: AlertStore, health: Arc<Health>, shutdown: Arc<Shutdown>) -> Notifier {
        health.alerting().knows(receiver.channel.as_str());
        Notifier { addresses: receiver.channel.addresses(), receiver, store, health, shutdown, said: Mutex::default() }
    }

    /// Brings all messages that wait and are due. A message that fails is not due for a while.
    ///
    /// # Errors
    /// Returns why the database can't be read or written.
    pub fn run(&self) -> Result<bool, Unavailable> {
        let _on_its_way = self.shutdown.begin();
        self.bring()
    }

    fn bring(&self) -> Result<bool, Unavailable> {
        while !self.shutdown.is_over() {
            let claim = self.store.claim(&self.receiver.name, &self.addresses, CLAIM)?;
            let Some(claim) = claim else { break };
            let message = &claim.message;
            let receiver = message.whom();
            let mut said = self.said.lock();
            let said = said.entry(message.address.clone()).or_default();
            let outcome = self.holding(&claim, || self.receiver.channel.send(message));
            self.health.alerting().tried(self.receiver.channel.as_str(), outcome.is_ok());
            match outcome {
                Ok(()) => {
                    let is_ours = self.store.mark_sent(&claim)?;
                    said.ended();
                    match is_ours {
                        true => {
                            log::info!(receiver, message:% = message.id, alerts = message.items.len(); "told a receiver");
                        }
                        false => log::warn!(receiver, message:% = message.id; "{TWICE}"),
                    }
                }
                Err(failure)
                    if self.store.mark_failed(
                        &claim,
                        &failure.to_string(),
                        failure.is_for_good(),
                        pause(claim.attempts),
                    )? =>
                {
                    let attempts = claim.attempts;
                    self.health.alerting().gave_up(1);
                    log::error!(receiver, message:% = message.id, attempts, error:% = failure; "{GAVE_UP}");
                }
                Err(failure) => {
                    if let Some(times) = said.happened(&failure.to_string(), 1, Instant::now()) {
                        log::warn!(receiver, times, error:% = failure; "can't tell a receiver: trying again");
                    }
                }
            }
        }
        Ok(true)
    }

    /// Does `work`, which may take long, while it renews a claim. A claim that can't be renewed, because the database
    /// is away, may run out.
    fn holding<T>(&self, claim: &Claim, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let (working, is_over) = mpsc::channel::<()>();
            scope.spawn(move || {
                while is_over.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                    if let Err(error) = self.store.renew(claim, CLAIM) {
                        log::debug!(error:%; "a claim can't be renewed");
                    }
                }
            });
            let outcome = work();
            drop(working);
            outcome
        })
    }
}

const GAVE_UP: &str = "gave up telling a receiver";
const TWICE: &str =
    "told a receiver when the claim had run out: another collector may tell it the same under the same id";

/// Logs that messages were given up.
pub(crate) fn say(given_up: &[GivenUp]) {
    for it in given_up {
        let receiver = whom(&it.receiver, it.address.as_deref());
        let error = it.last_error.as_deref().unwrap_or("no collector tried");
        log::error!(receiver, message:% = it.id, attempts = it.attempts, error; "{GAVE_UP}");
    }
}

/// Returns how long to wait after this number of attempts.
pub(crate) fn pause(attempts: i32) -> Duration {
    let doubled = u32::try_from(attempts - 1).map_or(0, |times| times.min(16));
    (SHORTEST_PAUSE * 2_u32.pow(doubled)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!([1, 2, 3, 99].map(|n| pause(n).as_secs()), [5, 10, 20, 600]);
    }
}
