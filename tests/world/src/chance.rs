//! Chance is the same for the same seed, on every machine.

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads a number over all 64 bits, as SplitMix64 does.
pub(crate) const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// This is a sequence of numbers that look random.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Begins the sequence of a seed.
    pub(crate) const fn of(seed: u64) -> Chance {
        Chance(mix(seed))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        let number = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        number
    }

    /// Chooses a number below a bound, which is not 0.
    pub(crate) const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Answers whether something happens that happens once in this number of times.
    pub(crate) const fn is_one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
