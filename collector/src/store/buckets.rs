//! The buckets of response times, as the tables have them.

/// Where buckets meet, in microseconds: the tables' `response_time_bounds()`.
pub(super) const BOUNDS_US: [i64; 23] = [
    1_000, 1_600, 2_500, 4_000, 6_300, 10_000, 16_000, 25_000, 40_000, 63_000, 100_000, 160_000, 250_000, 400_000,
    630_000, 1_000_000, 1_600_000, 2_500_000, 4_000_000, 6_300_000, 10_000_000, 16_000_000, 25_000_000,
];

/// The bucket of a response time, from 0. A bound belongs to the bucket above it.
pub(super) fn bucket(us: i64) -> u8 {
    u8::try_from(BOUNDS_US.partition_point(|bound| *bound <= us)).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_the_bucket_above_it() {
        let of = [0, 999, 1_000, 1_599, 1_600, 24_999_999, 25_000_000].map(bucket);
        assert_eq!(of, [0, 0, 1, 1, 2, 22, 23]);
    }
}
