//! The bounds of version 1. Collectors set a record beyond one of them aside. Agents cut or refuse what is too long
//! before that.

use jiff::Timestamp;

/// Longest name of an agent, in bytes.
pub const AGENT: usize = 255;
/// Longest id of a monitor, in bytes. A url is the id of a monitor that has neither `id` nor `name`.
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
/// Most monitors in one `agent` record. A longer list is split over several records.
pub const MONITORS: usize = 1_000;
/// Highest sequence number: one less than the largest that PostgreSQL's `int8multirange` can hold as a bound.
pub const SEQUENCE: u64 = i64::MAX as u64 - 1;
/// Most numbers that one range may declare dropped. A thousand checks a second take 31 years to get there.
pub const RANGE: u64 = 1_000_000_000_000;
/// Longest duration, in microseconds. It is one day.
pub const DURATION_US: u64 = 86_400_000_000;
/// Highest status code. Status codes of HTTP have three digits.
pub const STATUS_CODE: u16 = 999;
/// Earliest time. It is the first that PostgreSQL can hold, in November of 4714 BC. PostgreSQL's last time is later
/// than every `Timestamp`.
pub const OLDEST: Timestamp = Timestamp::constant(-210_866_803_200, 0);
