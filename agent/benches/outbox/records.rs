//! Enough results to take records from.

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::result::result;

const COUNT: usize = 20_000;

pub(crate) struct Records(Vec<Vec<u8>>);

impl Records {
    pub(crate) fn new() -> Records {
        let mut rng = StdRng::seed_from_u64(7);
        let began = Timestamp::from_second(1_790_000_000).expect("a time");
        Records((0..COUNT).map(|n| result(n, began, &mut rng)).collect())
    }

    /// Record `n`; they begin again when there are no more.
    pub(crate) fn get(&self, n: usize) -> Vec<u8> {
        self.0[n % self.0.len()].clone()
    }

    /// Their mean length.
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().map(Vec::len).sum::<usize>() as f64 / self.0.len() as f64
    }
}
