//! Percentiles of summed response times, by the rule of the tables' `response_time_percentile`: of a thousand monitors
//! at once that function takes longer than all else.

/// Where buckets meet, in microseconds: the tables' `response_time_bounds()`.
const BOUNDS_US: [f64; 23] = [
    1e3, 1.6e3, 2.5e3, 4e3, 6.3e3, 1e4, 1.6e4, 2.5e4, 4e4, 6.3e4, 1e5, 1.6e5, 2.5e5, 4e5, 6.3e5, 1e6, 1.6e6, 2.5e6,
    4e6, 6.3e6, 1e7, 1.6e7, 2.5e7,
];

/// The time below which this fraction of the response times lies, in microseconds; none without any.
#[allow(clippy::cast_precision_loss)] // counts of checks, and microseconds
pub(super) fn percentile(response_times: &[i64], longest_us: Option<i64>, fraction: f64) -> Option<f64> {
    let longest = longest_us? as f64;
    let rank = response_times.iter().sum::<i64>() as f64 * fraction;
    let mut before = 0.0;
    for (bucket, n) in response_times.iter().map(|n| *n as f64).enumerate().filter(|(_, n)| *n > 0.0) {
        if rank <= before + n {
            let low = bucket.checked_sub(1).and_then(|below| BOUNDS_US.get(below)).copied().unwrap_or(0.0);
            let high = BOUNDS_US.get(bucket).copied().unwrap_or(f64::INFINITY).min(longest);
            let part = (rank - before).max(0.0) / n;
            return Some(if low == 0.0 { high * part } else { low * (high / low).powf(part) });
        }
        before += n;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_in_its_bucket_and_never_above_the_longest() {
        let mut times = vec![0; 24];
        assert_eq!(percentile(&times, None, 0.5), None);
        times[0] = 2;
        assert_eq!(percentile(&times, Some(800), 0.5), Some(400.0));
        times[23] = 2;
        assert_eq!(percentile(&times, Some(30_000_000), 1.0), Some(30_000_000.0));
        let p75 = percentile(&times, Some(30_000_000), 0.75).unwrap();
        assert!((27_386_127.0..27_386_128.0).contains(&p75), "the geometric mean of 25 and 30 s, not {p75}");
    }
}
