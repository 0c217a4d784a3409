//! The rule `blind`: the collector itself sees nothing, because it cannot reach Kafka or the database.
//!
//! ```text
//! Kafka away      facts ──▶ judge ──▶ …  the usual way: all collectors together tell it once, also over a restart
//! database away   Watch ──▶ receivers    directly, by each collector that finds it so, since nothing can be written down
//! ```
//! The alert about Kafka remembers when any collector last reached Kafka. The monitoring is not blind while one of
//! several collectors reaches Kafka.

use jiff::Timestamp;

use super::alert::Alert;
use super::facts::Away;
use super::judgement::{Condition, Judgement};
use crate::notify::Details;

/// The subject of an alert about Kafka.
pub(super) const KAFKA: &str = "Kafka";
/// Judges whether Kafka is away. `previous` is the alert as it was known before.
pub(super) fn of_kafka(kafka: Option<&Away>, previous: Option<&Alert>, now: Timestamp) -> Judgement {
    // The mark counts whole seconds, so that the noted moment is never later than the moment when another collector
    // reached Kafka.
    let known = previous.and_then(|alert| alert.mark);
    let (condition, mark) = match kafka {
        None => (Condition::Good, now.as_second()),
        Some(away) => {
            let reached = known.and_then(|second| Timestamp::from_second(second).ok());
            let since = reached.map_or(away.since, |reached| reached.max(away.since));
            let condition = Condition::Bad { since, is_bounded: true, is_ripe: true };
            (condition, known.unwrap_or_else(|| since.as_second()))
        }
    };
    let reason = kafka.and_then(|away| away.reason.as_deref());
    let details = away_details(KAFKA, "no result arrives, and agents keep theirs until it is back", reason);
    Judgement {
        subject: KAFKA.into(),
        condition,
        details: Details { blame: Some("path".into()), ..details },
        mark: Some(mark),
    }
}

/// Returns what people are told when Kafka or the database is away from this collector.
pub(crate) fn away_details(name: &str, so: &str, reason: Option<&str>) -> Details {
    let why = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let reason = format!("it is away from the collector on {}{why}: {so}", settings::host_name());
    Details { name: name.into(), reason, ..Details::default() }
}
