//! The bounds of version 1. A record beyond one of them is set aside by collectors; agents cut or refuse earlier.

use jiff::Timestamp;

/// Longest name of an agent, in bytes.
pub const AGENT: usize = 255;
/// Longest id of a monitor, in bytes: a url is a monitor's id when it has neither `id` nor `name`.
pub const MONITOR: usize = 16_384;
/// Longest name of a monitor, in bytes.
pub const NAME: usize = 1_024;
/// Longest url, in bytes.
pub const URL: usize = 8_192;
/// Longest pattern, in bytes.
pub const PATTERN: usize = 8_192;
/// Longest other text (reason, error, subject, tag, …), in bytes.
pub const TEXT: usize = 4_096;
/// Most tags of a result, labels of an agent, or reasons in a map.
pub const ENTRIES: usize = 64;
/// Most ranges of one `dropped` record.
pub const RANGES: usize = 1_000;
/// Most monitors in one `agent` record; a longer list goes into several.
pub const MONITORS: usize = 1_000;
/// Highest sequence number: one less than the largest that PostgreSQL's `int8multirange` can hold as a bound.
pub const SEQUENCE: u64 = i64::MAX as u64 - 1;
/// Most numbers that one range may declare dropped. A thousand checks a second take 31 years to get there.
pub const RANGE: u64 = 1_000_000_000_000;
/// Longest duration, in microseconds: one day.
pub const DURATION_US: u64 = 86_400_000_000;
/// Highest status code: HTTP's have three digits.
pub const STATUS_CODE: u16 = 999;
/// The earliest time: the first that PostgreSQL can hold, in November of 4714 BC. Its last one is beyond all of ours.
pub const OLDEST: Timestamp = Timestamp::constant(-210_866_803_200, 0);
