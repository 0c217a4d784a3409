//! Where the monitors' slots lie within their interval: spread evenly, yet hardly moved by monitors that come and go.
//!
//! By a hash alone they would lie as rain falls: of 1,000 monitors with an interval of 10 s, ten start in a mean tenth
//! of a second, but 20 in the worst one, and all of these wait for the processor and for each other. By rank alone
//! (the n-th at `n · interval / count`) they would lie evenly, but one monitor more would move nearly all others.
//!
//! So each monitor begins at its *home*, which a hash of agent and id gives. Those of equal interval are then taken in
//! the order of their homes, round the interval, and each keeps a *gap* to the one before it; anyone who would come
//! sooner moves back to just there. Then:
//! - any stretch of time `t` has at most `⌈t / gap⌉` starts (1,000 at 10 s: 11 in 100 ms);
//! - one that comes or goes moves only those that queue behind it, up to the next hole, and each by one gap at most;
//! - it depends on the set of monitors alone: not on their order in the file, nor on what ran before. A restart finds
//!   every slot where it was.
//!
//! The gap is `interval / places`, where there are some more places than monitors: the holes between the queues are
//! what keeps a change local. `places` grows in steps of 3 to 6%, since each other gap moves everybody a little. No gap
//! is longer than [`MOST_GAP`]: few monitors need no order, and so stay at home. Where gaps are shorter than [`TICK`],
//! phases are cut down to whole ticks: the clock's thread then wakes once for several monitors, not a thousand times a
//! second and more.

use std::hash::Hasher;
use std::time::Duration;

use fnv::FnvHasher;

use super::grid::nanos;

/// The longest distance that is kept.
const MOST_GAP: u64 = 100_000_000;

/// Starts that would be closer than this may come together.
const TICK: u64 = 2_000_000;

/// The phase of each monitor, given by id and interval, in the order in which they come.
pub(super) fn phases<'a>(agent: &str, monitors: impl Iterator<Item = (&'a str, Duration)>) -> Vec<Duration> {
    let homes = monitors.map(|(id, interval)| (interval, home(agent, id, interval), id));
    let mut order: Vec<_> = homes.enumerate().map(|(index, home)| (home, index)).collect();
    order.sort_unstable();
    let mut phases = vec![Duration::ZERO; order.len()];
    for group in order.chunk_by(|((one, ..), _), ((other, ..), _)| one == other) {
        let interval = nanos_of(group[0].0.0);
        let homes: Vec<u64> = group.iter().map(|((_, home, _), _)| *home).collect();
        for ((_, index), phase) in group.iter().zip(spread(&homes, interval)) {
            phases[*index] = Duration::from_nanos(phase);
        }
    }
    phases
}

/// Keeps the gap between these homes, which are sorted. In nanoseconds.
fn spread(homes: &[u64], interval: u64) -> Vec<u64> {
    let gap = (interval / places(homes.len() as u64)).min(MOST_GAP);
    let mut earliest = 0;
    let round = |earliest: &mut u64| -> Vec<u64> {
        let queue = |home: &u64| {
            let phase = (*earliest).max(*home);
            *earliest = phase + gap;
            phase
        };
        homes.iter().map(queue).collect()
    };
    // The first round tells how far the last queue reaches into the next interval. There are holes, so that it ends
    // before it is round.
    round(&mut earliest);
    earliest = earliest.saturating_sub(interval);
    let tick = if gap < TICK { TICK } else { 1 };
    round(&mut earliest).into_iter().map(|phase| phase % interval.max(1)).map(|phase| phase - phase % tick).collect()
}

/// At least a sixteenth more than there are monitors, as a number of five binary digits and zeros.
fn places(monitors: u64) -> u64 {
    let wanted = monitors + monitors / 16 + 1;
    let step = 1 << (u64::BITS - wanted.leading_zeros()).saturating_sub(5);
    wanted.next_multiple_of(step)
}

/// Where a monitor would be if it were the only one: spread over the monitors of an agent, and over agents that check
/// the same monitor. In nanoseconds.
///
/// The hash is FNV-1a with 64 bits over the agent's name, a zero byte and the monitor's id, then the finalizer of
/// SplitMix64, which spreads it over all bits; it is scaled to the interval by `hash · interval / 2^64`. It is part of
/// what the agent promises: with another hash all slots would move at an update.
fn home(agent: &str, monitor: &str, interval: Duration) -> u64 {
    let mut hasher = FnvHasher::default();
    [agent.as_bytes(), &[0], monitor.as_bytes()].iter().for_each(|part| hasher.write(part));
    let mut hash = hasher.finish();
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    nanos_of(nanos((u128::from(hash) * interval.as_nanos()) >> 64))
}

/// Intervals are a day at most.
fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const WINDOW: Duration = Duration::from_millis(100);

    fn placed(ids: &[String]) -> BTreeMap<&str, Duration> {
        let phases = phases("edge-1", ids.iter().map(|id| (id.as_str(), INTERVAL)));
        ids.iter().map(String::as_str).zip(phases).collect()
    }

    fn ids(count: u32) -> Vec<String> {
        (0..count).map(|n| format!("monitor {n}")).collect()
    }

    /// The most starts in any stretch of time, which may reach over the end of the interval.
    fn most_within(window: Duration, phases: impl Iterator<Item = Duration>) -> usize {
        let mut phases: Vec<Duration> = phases.collect();
        phases.sort_unstable();
        let again: Vec<Duration> = phases.iter().map(|phase| *phase + INTERVAL).collect();
        let all = [phases.as_slice(), &again].concat();
        let within =
            |first: &Duration| all.iter().filter(|other| *first <= **other && **other < *first + window).count();
        phases.iter().map(within).max().unwrap_or_default()
    }

    fn gap(count: usize) -> u64 {
        (nanos_of(INTERVAL) / places(count as u64)).min(MOST_GAP)
    }

    #[test]
    fn homes_are_what_they_always_were() {
        let homes = [("edge-1", "shop"), ("edge-1", "shop2"), ("edge-2", "shop"), ("", "")]
            .map(|(agent, monitor)| home(agent, monitor, INTERVAL) / 1_000);
        assert_eq!(homes, [3_842_255, 3_343_913, 2_145_472, 1_483_830]);
    }

    #[test]
    fn a_thousand_monitors_start_at_most_eleven_at_a_time() {
        let ids = ids(1_000);
        assert_eq!(most_within(WINDOW, placed(&ids).into_values()), 11);
        let homes = ids.iter().map(|id| Duration::from_nanos(home("edge-1", id, INTERVAL)));
        assert_eq!(most_within(WINDOW, homes), 20, "by the hash alone");
    }

    #[test]
    fn one_more_of_a_thousand_moves_few_others_and_those_by_milliseconds() {
        let all = ids(1_020);
        let mut moved = Vec::new();
        for count in 1_000..1_020 {
            let (before, after) = (placed(&all[..count]), placed(&all[..count + 1]));
            moved.push(before.iter().filter(|(id, phase)| after[*id] != **phase).count());
        }
        // At a step of `places` all that queue move, so that the mean would say little.
        moved.sort_unstable();
        assert!(moved[moved.len() / 2] < 150, "{moved:?}");
    }

    #[test]
    fn ten_thousand_monitors_share_ticks() {
        let phases: BTreeMap<Duration, usize> =
            placed(&ids(10_000)).into_values().fold(BTreeMap::new(), |mut ticks, phase| {
                *ticks.entry(phase).or_default() += 1;
                ticks
            });
        assert!(phases.keys().all(|phase| nanos_of(*phase).is_multiple_of(TICK)));
        assert!(phases.values().all(|monitors| *monitors <= 3), "{phases:?}");
    }

    #[test]
    fn few_monitors_stay_at_home() {
        let ids = ids(3);
        assert!(placed(&ids).into_iter().all(|(id, phase)| nanos_of(phase) == home("edge-1", id, INTERVAL)));
    }

    #[test]
    fn each_interval_is_spread_for_itself() {
        let monitors = [("a", INTERVAL), ("b", 2 * INTERVAL), ("c", INTERVAL)];
        let mixed = phases("edge-1", monitors.into_iter());
        let alone = phases("edge-1", [monitors[0], monitors[2]].into_iter());
        assert_eq!([mixed[0], mixed[2]], *alone);
    }

    proptest! {
        #[test]
        fn phases_keep_their_gap_and_depend_on_the_set_alone(
            mut ids in proptest::collection::hash_set("[a-z]{1,6}", 1..300).prop_map(Vec::from_iter),
        ) {
            let phases = placed(&ids);
            prop_assert!(phases.values().all(|phase| *phase < INTERVAL));
            let gap = gap(ids.len());
            prop_assert_eq!(most_within(Duration::from_nanos(gap), phases.values().copied()), 1);
            let before: BTreeMap<String, Duration> = phases.into_iter().map(|(id, at)| (id.into(), at)).collect();
            ids.reverse();
            let after: BTreeMap<String, Duration> = placed(&ids).into_iter().map(|(id, at)| (id.into(), at)).collect();
            prop_assert_eq!(before, after);
        }

        #[test]
        fn anyone_who_comes_moves_no_one_by_more_than_a_gap_and_no_one_before_itself(
            ids in proptest::collection::hash_set("[a-z]{1,6}", 2..300).prop_map(Vec::from_iter),
        ) {
            let (before, after) = (placed(&ids[1..]), placed(&ids));
            prop_assume!(places(ids.len() as u64) == places(ids.len() as u64 - 1));
            let (gap, interval) = (gap(ids.len()), nanos_of(INTERVAL));
            let newcomer = nanos_of(after[ids[0].as_str()]);
            // Of each: how far behind the newcomer it is now, round the interval, and by how much it moved.
            let mut moves: Vec<(u64, u64)> = before
                .iter()
                .map(|(id, old)| (nanos_of(*old), nanos_of(after[id])))
                .map(|(old, new)| ((new + interval - newcomer) % interval, (new + interval - old) % interval))
                .collect();
            moves.sort_unstable();
            prop_assert!(moves.iter().all(|(_, moved)| *moved <= gap), "{:?}", moves);
            prop_assert!(moves.is_sorted_by_key(|(_, moved)| *moved == 0), "first those that make room: {:?}", moves);
        }
    }
}
