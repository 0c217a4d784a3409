//! Decides how often the publisher does what costs something.
//!
//! A few results need not wake six threads and sync the disk for each result. What comes within a short time is sent together,
//! and the cursor is stored later. After a power cut, records that were delivered beyond the stored cursor are sent once more,
//! and the collector stores them once. Many results, or a caller that waits for an empty outbox, are served at once.

use std::time::Duration;

use backon::BackoffBuilder;

/// How long to wait for records before looking at anything else.
pub(super) const IDLE: Duration = Duration::from_millis(100);
/// How often reports are looked for while some are due and more is to be sent.
pub(super) const IN_FLIGHT: Duration = Duration::from_millis(5);
/// How often while there is nothing more to send. What comes meanwhile goes out together.
const GATHER: Duration = Duration::from_millis(50);
/// How often it is looked at whether the cursor, as it was at the last look, would outlive a power cut. To see to that
/// costs an fsync, unless the commit of a result did.
pub(super) const CURSOR: Duration = Duration::from_millis(500);

/// How long to leave the brokers to their reports.
pub(super) fn between_reports(is_leisurely: bool) -> Duration {
    if is_leisurely { GATHER } else { IN_FLIGHT }
}

/// The pauses between attempts: from 200 ms to 5 s, with jitter so that a fleet does not come back as one.
pub(super) fn after_failures() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(4))
        .with_jitter()
        .without_max_times()
        .build()
}
