//! Shrinking leaves out of a list of actions what a fault does not take.

use crate::action::Action;
use crate::fault::FaultKind;
use crate::rules::Rules;
use crate::world::run;

/// Leaves out parts of a list that become smaller and smaller, where the world of the rest still has a fault of that kind.
pub fn shrink(seed: u64, actions: &[Action], rules: Rules, kind: FaultKind) -> Vec<Action> {
    let fails = |actions: &[Action]| run(seed, actions, rules).faults.iter().any(|fault| fault.kind == kind);
    let mut left = actions.to_vec();
    let mut size = left.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < left.len() {
            let end = (at + size).min(left.len());
            let less = [&left[..at], &left[end..]].concat();
            if fails(&less) {
                left = less;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    left
}
