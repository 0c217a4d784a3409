//! Results as an agent of some hundred monitors has them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use rand::rngs::StdRng;
use wire::{CheckResult, Content, Outcome, Phases};

const MONITORS: usize = 500;

/// Each monitor is checked every half a minute.
pub(crate) const EVERY: SignedDuration = SignedDuration::from_micros(61_357);

/// The result of check `n` since `began`.
pub(crate) fn result(n: usize, began: Timestamp, rng: &mut StdRng) -> Vec<u8> {
    let monitor = n * 7 % MONITORS;
    let scheduled_at = began + EVERY * n as i32;
    let phases = Phases {
        dns: Some(rng.random_range(80..900)),
        connect: Some(rng.random_range(900..30_000)),
        tls: Some(rng.random_range(2_000..60_000)),
        first_byte: Some(rng.random_range(3_000..200_000)),
        body: Some(rng.random_range(20..9_000)),
    };
    let all = [phases.dns, phases.connect, phases.tls, phases.first_byte, phases.body];
    let result = CheckResult {
        monitor: format!("shop-{monitor}"),
        name: format!("shop-{monitor}"),
        url: format!("https://shop-{monitor}.example/health"),
        pattern: Some("status: *ok".to_owned()),
        scheduled_at,
        checked_at: scheduled_at + SignedDuration::from_micros(rng.random_range(100..3_000)),
        outcome: Outcome::Success,
        status_code: Some(200),
        reason: Some("OK".to_owned()),
        response_time_us: Some(all.into_iter().flatten().sum()),
        phases,
        peer: Some(format!("192.0.2.{}:443", monitor % 250)),
        redirects: None,
        pattern_matched: Some(true),
        certificate: None,
        body_bytes: Some(rng.random_range(500..90_000)),
        truncated: None,
        attempts: 1,
        tags: BTreeMap::new(),
        error: None,
    };
    wire::payload("edge-1", &Content::Result(Box::new(result)))
}
