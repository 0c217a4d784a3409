//! Has the buckets of response times, as the tables have them.

/// The bounds between two buckets, in microseconds. They are those of the function `response_time_bounds()` of the
/// tables.
pub(crate) const BOUNDS_US: [i64; 23] = [
    1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000, 25_000, 40_000, 63_000, 100_000, 160_000, 250_000, 400_000,
    630_000, 1_000_000, 1_600_000, 2_500_000, 4_000_000, 6_300_000, 10_000_000, 16_000_000, 25_000_000,
];

/// The number of buckets of a summary.
pub(crate) const BUCKETS: usize = BOUNDS_US.len() + 1;
