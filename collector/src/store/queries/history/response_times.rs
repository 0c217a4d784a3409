//! Adds up response times and computes percentiles of them. The rule is that of the function `response_time_percentile`
//! of the tables, which takes longer than all else for a thousand monitors at once.

use std::ops::AddAssign;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Nullable};

use crate::figures::ResponseTimes;
use crate::store::db::buckets::{BOUNDS_US, BUCKETS};
use crate::store::summary_blocks::Times;

/// The response times of answers, summed up.
#[derive(Clone, Debug, Default, QueryableByName)]
pub(in crate::store) struct Answers {
    #[diesel(sql_type = BigInt)]
    answered: i64,
    #[diesel(sql_type = Double)]
    sum_us: f64,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_us: Option<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    response_times: Vec<i64>,
}

impl AddAssign<&Answers> for Answers {
    fn add_assign(&mut self, other: &Answers) {
        self.answered += other.answered;
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
        for (bucket, n) in other.response_times.iter().enumerate() {
            *self.bucket(bucket) += n;
        }
    }
}

#[allow(clippy::cast_precision_loss)] // counts of checks, and microseconds
impl Answers {
    /// Adds the response times of a block.
    pub(crate) fn add_packed(&mut self, times: &Times) {
        self.sum_us += times.sum_us as f64;
        self.max_us = self.max_us.max(Some(times.max_us));
        for &(bucket, n) in &times.buckets {
            self.answered += n;
            *self.bucket(bucket.into()) += n;
        }
    }

    fn bucket(&mut self, bucket: usize) -> &mut i64 {
        if bucket >= self.response_times.len() {
            self.response_times.resize((bucket + 1).max(BUCKETS), 0);
        }
        &mut self.response_times[bucket]
    }

    pub(crate) fn percentile(&self, fraction: f64) -> Option<f64> {
        percentile(&self.response_times, self.max_us, fraction)
    }

    pub(in crate::store) fn times(&self) -> ResponseTimes {
        ResponseTimes {
            answered: self.answered,
            mean_us: (self.answered > 0).then(|| self.sum_us / self.answered as f64),
            p50_us: self.percentile(0.5),
            p95_us: self.percentile(0.95),
            p99_us: self.percentile(0.99),
            max_us: self.max_us,
        }
    }
}

/// Returns the time below which this fraction of the response times lies, in microseconds, or `None` when there are
/// none.
#[allow(clippy::cast_precision_loss)] // counts of checks, and microseconds
fn percentile(response_times: &[i64], longest_us: Option<i64>, fraction: f64) -> Option<f64> {
    let longest = longest_us? as f64;
    let rank = response_times.iter().sum::<i64>() as f64 * fraction;
    let bound = |bucket: usize| BOUNDS_US.get(bucket).map(|bound| *bound as f64);
    let mut before = 0.0;
    for (bucket, n) in response_times.iter().map(|n| *n as f64).enumerate().filter(|(_, n)| *n > 0.0) {
        if rank <= before + n {
            let low = bucket.checked_sub(1).and_then(bound).unwrap_or(0.0);
            let high = bound(bucket).unwrap_or(f64::INFINITY).min(longest);
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

    #[test]
    fn what_is_packed_apart_adds_up() {
        let (mut first, mut both) = (Answers::default(), Answers::default());
        let (early, late) = (
            Times { monitor_id: 1, sum_us: 3_598, max_us: 1_599, buckets: vec![(0, 1), (1, 2)] },
            Times { monitor_id: 1, sum_us: 25_000_000, max_us: 25_000_000, buckets: vec![(23, 1)] },
        );
        first.add_packed(&early);
        both.add_packed(&late);
        both += &first;
        first.add_packed(&late);
        assert_eq!((both.times(), both.response_times), (first.times(), first.response_times));
    }
}
