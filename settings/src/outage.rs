//! Keeps the state of a part that a daemon needs and cannot use, and the reason that the log, the status and the
//! metrics show.
//!
//! ```text
//! attempt fails ──▶ Outage::failed ──▶ the log, when this reason is to be said now
//!                        │
//!                        └──▶ Outage::reason ──▶ the status line, the metric
//! ```
//!
//! A name may stand for several addresses, and a cluster for several brokers, so an outage often has more than one
//! reason at a time. For example, `localhost` is refused at `::1`, where no server listens, and at `127.0.0.1` for its
//! certificate. The more telling of these reasons is shown. A less telling reason at the same time is not logged.

mod metric;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::log_throttle::LogThrottle;
pub use metric::register_failure;

/// Reasons that are no further apart than this time belong together. librdkafka holds a repeated error back for 30
/// seconds (`rd_kafka_broker_set_error`), so this time is longer than that.
const TOGETHER: Duration = Duration::from_secs(40);

/// The most characters of a reason.
const LONGEST_TEXT: usize = 600;

/// The kind of a reason, the least telling kind first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// No answer came in time.
    Timeout,
    /// No connection could be made, or it broke.
    Connection,
    /// The reason is of no other kind.
    Other,
    /// The name has no address.
    Dns,
    /// The topic is not there.
    Topic,
    /// The login is known, but has no right to do this.
    Authorization,
    /// TLS failed. Mostly a certificate is not trusted, on either side.
    Tls,
    /// The login was refused.
    Authentication,
}

impl FailureKind {
    /// All kinds of failures.
    pub const ALL: [FailureKind; 8] = [
        FailureKind::Timeout,
        FailureKind::Connection,
        FailureKind::Other,
        FailureKind::Dns,
        FailureKind::Topic,
        FailureKind::Authorization,
        FailureKind::Tls,
        FailureKind::Authentication,
    ];

    /// Returns the word of this kind in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Timeout => "timeout",
            FailureKind::Connection => "connection",
            FailureKind::Other => "other",
            FailureKind::Dns => "dns",
            FailureKind::Topic => "topic",
            FailureKind::Authorization => "authorization",
            FailureKind::Tls => "tls",
            FailureKind::Authentication => "authentication",
        }
    }

    /// Returns whether another address of the same name may have a more telling reason.
    pub fn is_vague(self) -> bool {
        self <= FailureKind::Connection
    }
}

/// The reason why an attempt failed. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of the reason.
    pub kind: FailureKind,
    /// The reason in one line.
    pub text: String,
}

impl Failure {
    /// Creates a failure of this kind. A server's text becomes one line of a bounded length, since it is shown to
    /// people.
    pub fn new(kind: FailureKind, text: impl AsRef<str>) -> Failure {
        let text = text.as_ref().chars().map(|c| if c.is_control() { ' ' } else { c });
        Failure { kind, text: text.take(LONGEST_TEXT).collect::<String>().trim().to_owned() }
    }

    /// Returns the name of this reason in the log. Silence has many wordings, and none of them tells more than the
    /// others.
    fn in_the_log(&self) -> String {
        if self.kind == FailureKind::Timeout { self.kind.as_str().into() } else { without_addresses(&self.text) }
    }

    /// Returns the more telling one of this failure and an earlier one. If both are of the same kind, it returns this
    /// one.
    #[must_use]
    pub fn or_more_telling(self, earlier: Option<Failure>) -> Failure {
        earlier.filter(|earlier| earlier.kind > self.kind).unwrap_or(self)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a part cannot be used, and why. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    began: Option<Instant>,
    log: LogThrottle,
    /// The latest failure of each kind, if it is recent enough to belong to the last one.
    latest: BTreeMap<FailureKind, (Instant, String)>,
}

impl Outage {
    /// Notes that an attempt failed. When that is to be logged now, it returns how often attempts failed for this
    /// reason since it was logged last.
    pub fn failed(&self, failure: &Failure, now: Instant) -> Option<u64> {
        let mut state = self.state();
        state.began.get_or_insert(now);
        state.latest.retain(|_, (at, _)| now.saturating_duration_since(*at) <= TOGETHER);
        state.latest.insert(failure.kind, (now, failure.text.clone()));
        if state.reason()? != *failure {
            return None;
        }
        state.log.happened(&failure.in_the_log(), 1, now)
    }

    /// Returns whether the last attempt failed.
    pub fn is_on(&self) -> bool {
        self.state().began.is_some()
    }

    /// Returns when the first failed attempt since the last success was. It is none when the last attempt succeeded.
    pub fn since(&self) -> Option<Instant> {
        self.state().began
    }

    /// Returns the most telling reason of the last attempts. It is none when the part can be used.
    pub fn reason(&self) -> Option<Failure> {
        self.state().reason()
    }

    /// Notes that the part can be used. If it could not be used before, it returns for how long.
    pub fn ended(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state();
        let began = state.began.take()?;
        *state = State::default();
        Some(now.saturating_duration_since(began))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    fn reason(&self) -> Option<Failure> {
        self.latest.last_key_value().map(|(kind, (_, text))| Failure::new(*kind, text))
    }
}

/// Returns the text without the words that name one of several addresses. librdkafka writes them as
/// `127.0.0.1:9092/bootstrap:` and `ipv6#[::1]:9092`.
fn without_addresses(text: &str) -> String {
    let names_one =
        |word: &str| word.contains("ipv4#") || word.contains("ipv6#") || word.contains('/') && word.ends_with(':');
    text.split_whitespace().filter(|word| !names_one(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused_at(address: &str) -> Failure {
        let text = format!("{address}: Connect to {address} failed: Connection refused");
        Failure::new(FailureKind::Connection, text)
    }

    fn certificate() -> Failure {
        Failure::new(
            FailureKind::Tls,
            "ssl://localhost:9093/bootstrap: SSL handshake failed: certificate verify failed",
        )
    }

    #[test]
    fn the_more_telling_reason_is_said_when_it_comes_and_the_less_telling_one_no_more() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert_eq!(outage.failed(&refused_at("ipv6#[::1]:9093"), now), Some(1));
        assert_eq!(outage.reason(), Some(refused_at("ipv6#[::1]:9093")));
        assert_eq!(outage.failed(&certificate(), now + SECOND), Some(1));
        for second in 2..1_000 {
            let at = now + second * SECOND;
            assert_eq!(outage.failed(&refused_at("ipv6#[::1]:9093"), at), None, "after {second} s");
            assert_eq!(outage.reason(), Some(certificate()), "after {second} s");
            outage.failed(&certificate(), at);
        }
    }

    #[test]
    fn a_reason_that_ceased_makes_way_for_a_less_telling_one() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert_eq!(outage.failed(&certificate(), now), Some(1));
        assert_eq!(outage.failed(&refused_at("ipv4#127.0.0.1:9093"), now + 30 * SECOND), None);
        assert_eq!(outage.failed(&refused_at("ipv4#127.0.0.1:9093"), now + 90 * SECOND), Some(1));
        assert_eq!(outage.reason().map(|failure| failure.kind), Some(FailureKind::Connection));
    }

    #[test]
    fn the_same_reason_at_another_address_is_not_said_again() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert_eq!(outage.failed(&refused_at("ipv6#[::1]:9093"), now), Some(1));
        assert_eq!(outage.failed(&refused_at("ipv4#127.0.0.1:9093"), now), None);
    }

    #[test]
    fn silence_in_other_words_is_not_said_again() {
        let (outage, now) = (Outage::default(), Instant::now());
        let wordings =
            ["Local: Message timed out", "2/2 brokers are down", "Meta data fetch error", "Local: Timed out"];
        let said = wordings.map(|words| outage.failed(&Failure::new(FailureKind::Timeout, words), now));
        assert_eq!(said, [Some(1), None, None, None]);
        assert_eq!(outage.reason().map(|reason| reason.text).as_deref(), Some("Local: Timed out"), "it is shown");
    }

    #[test]
    fn silence_is_said_only_when_nothing_else_is_known() {
        let (outage, now) = (Outage::default(), Instant::now());
        let silence = Failure::new(FailureKind::Timeout, "Local: Timed out");
        assert_eq!(outage.failed(&silence, now), Some(1));
        assert_eq!(outage.failed(&refused_at("ipv4#127.0.0.1:9093"), now + SECOND), Some(1));
        assert_eq!(outage.failed(&silence, now + 30 * SECOND), None);
        assert_eq!(outage.failed(&silence, now + 90 * SECOND), Some(1), "nothing else was heard for long");
    }

    #[test]
    fn an_outage_ends_once_and_says_how_long_it_was() {
        let (outage, now) = (Outage::default(), Instant::now());
        assert_eq!(outage.ended(now), None);
        outage.failed(&certificate(), now);
        outage.failed(&certificate(), now + SECOND);
        assert_eq!((outage.is_on(), outage.since()), (true, Some(now)));
        assert_eq!(outage.ended(now + 5 * SECOND), Some(5 * SECOND));
        assert_eq!((outage.is_on(), outage.reason(), outage.ended(now)), (false, None, None));
        assert_eq!(outage.failed(&certificate(), now + 6 * SECOND), Some(1));
    }
}
