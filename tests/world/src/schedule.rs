//! The schedule of a seed is the list of what happens in its world. It is fixed before anything runs.

use crate::action::{Action, Kind};
use crate::chance::Chance;

/// A schedule has these many actions.
const LENGTH: usize = 180;

/// Of a hundred seeds these many have a fault. Each seed has its own choice, so that faults meet in all combinations.
const PERCENT: usize = 30;

/// Makes the list of what happens in the world of a seed.
pub fn schedule(seed: u64) -> Vec<Action> {
    let mut chance = Chance::of(seed);
    let mut weights = Kind::ALL;
    for (_, weight) in weights.iter_mut().skip(Kind::ALWAYS) {
        if chance.below(100) >= PERCENT {
            *weight = 0;
        }
    }
    let total = weights.iter().map(|(_, weight)| weight).sum();
    let action = |_| {
        let mut place = chance.below(total);
        let is_here = |(_, weight): &&(Kind, usize)| {
            let is_here = place < *weight;
            place = place.saturating_sub(*weight);
            is_here
        };
        let (kind, _) = weights.iter().find(is_here).expect("the place is below the sum of the weights");
        Action::new(*kind, chance.next())
    };
    (0..LENGTH).map(action).collect()
}
