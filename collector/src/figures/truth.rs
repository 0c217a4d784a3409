//! Tests that the truth lies within the bounds: agents that start, reload, stop, die and lose results look at a site
//! whose state is known at each moment.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::Window;
use super::counts::Counts;
use super::due::{Schedule, Span, counts};
use super::overview::Tags;
use super::period::bars;

/// How a run of an agent ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The agent says that it stops.
    Clean,
    /// The agent dies without saying so. Until its next start it is expected to look.
    Death,
    /// The agent reloads: another configuration follows at once.
    Reload,
}

/// A run of an agent with one configuration. Its times are in seconds.
#[derive(Clone, Debug)]
struct Run {
    /// The time between the end of the run before and its beginning.
    pause: i64,
    lasts: i64,
    interval: i64,
    end: End,
}

#[derive(Clone, Debug)]
struct Story {
    agents: Vec<Vec<Run>>,
    /// The numbers of seconds after which the site goes down, or up again.
    changes: Vec<i64>,
    /// The number of lost ones of 100 results.
    lost: u8,
    spoiled: u8,
    /// The beginning of the window in seconds of the first hour, and the seconds that it leaves out of the last hour.
    cut: (i64, i64),
    seed: u64,
}

const HOURS: i64 = 8;

/// Returns stories in which all times are multiples of `grain` seconds, and all intervals are fractions of an hour.
fn story(grain: i64, intervals: &'static [i64]) -> impl Strategy<Value = Story> {
    let end = prop_oneof![Just(End::Clean), Just(End::Death), Just(End::Reload)];
    let run = (0..1_800 / grain, 1..7_200 / grain, prop::sample::select(intervals), end).prop_map(
        move |(pause, lasts, interval, end)| Run { pause: pause * grain, lasts: lasts * grain, interval, end },
    );
    let agents = prop::collection::vec(prop::collection::vec(run, 1..12), 1..4);
    let changes = prop::collection::vec(1..3_600_i64, 0..20);
    let cut = (0..3_600 / grain, 0..3_600 / grain).prop_map(move |(from, to)| (from * grain, to * grain));
    (agents, changes, 0..30_u8, 0..10_u8, cut, any::<u64>())
        .prop_map(|(agents, changes, lost, spoiled, cut, seed)| Story { agents, changes, lost, spoiled, cut, seed })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

impl Story {
    fn is_up(&self, second: i64) -> bool {
        let mut left = second;
        let changed = self.changes.iter().take_while(|lasts| {
            left -= **lasts;
            left >= 0
        });
        changed.count() % 2 == 0
    }

    /// Returns what an agent said, and when it looked: it is expected to look in a span, and it looks up to the second
    /// time.
    fn spans(&self, agent: usize, now: i64) -> Vec<(Span, i64)> {
        let runs = &self.agents[agent];
        let mut spans = Vec::new();
        let mut from = 0;
        for (n, run) in runs.iter().enumerate() {
            let follows = n > 0 && runs[n - 1].end == End::Reload;
            let begins = from + if follows { 0 } else { run.pause };
            let looks_until = begins + run.lasts;
            let next = runs.get(n + 1).map(|next| looks_until + if run.end == End::Reload { 0 } else { next.pause });
            let ends = match run.end {
                End::Clean => Some(looks_until),
                End::Death | End::Reload => next,
            };
            from = looks_until;
            if begins >= now {
                break;
            }
            // The future is not known.
            let known = |time: Option<i64>| time.filter(|time| *time < now);
            let is_stopped = run.end == End::Clean && known(ends).is_some();
            spans.push((
                Span {
                    agent_id: i32::try_from(agent).unwrap(),
                    interval: SignedDuration::from_secs(run.interval),
                    tags: Tags::new(),
                    begins: at(begins),
                    ends: known(ends).map(at),
                    is_stopped,
                    resumes: known(next.filter(|_| is_stopped)).map(at),
                },
                looks_until,
            ));
        }
        spans
    }
}

/// What is told, and what was true.
#[derive(Debug, Default)]
struct Outcome {
    told: Counts,
    /// The checks that were due, made or not.
    expected: i64,
    /// The due checks at moments at which the site was up.
    up: i64,
    /// The due checks without a result.
    missing: i64,
    /// The largest error of counting by length: a slot for each end of a time.
    slack: i64,
}

fn outcome(story: &Story) -> Outcome {
    let now = HOURS * 3_600;
    let (since, until) = (story.cut.0, now - story.cut.1);
    let (_, edges) = bars(Window { since: at(since), until: at(until) });
    let mut random = story.seed;
    let mut percent = || {
        // A linear congruential generator decides which results are lost. Nothing more than variety is needed.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % 100
    };
    let mut found = Outcome::default();
    let mut all = Vec::new();
    for agent in 0..story.agents.len() {
        let spans = story.spans(agent, now);
        let mut arrived = vec![Counts::default(); edges.len() - 1];
        for (span, looks_until) in &spans {
            let ends = span.ends.map_or(now, |ends| ends.as_second());
            let interval = span.interval.as_secs();
            let begins = span.begins.as_second();
            for slot in (begins + (-begins).rem_euclid(interval)..ends).step_by(interval as usize) {
                if slot < since || slot >= until {
                    continue;
                }
                found.expected += 1;
                found.up += i64::from(story.is_up(slot));
                if slot >= *looks_until || percent() < story.lost.into() {
                    found.missing += 1;
                    continue;
                }
                let bar = edges.partition_point(|edge| edge.as_second() <= slot) - 1;
                arrived[bar].checks += 1;
                match percent() < story.spoiled.into() {
                    true => arrived[bar].agent_errors += 1,
                    false => arrived[bar].success += i64::from(story.is_up(slot)),
                }
            }
        }
        all.extend(spans.into_iter().map(|(span, _)| span));
        let id = i32::try_from(agent).unwrap();
        let of_agent = all.iter().filter(|span| span.agent_id == id).cloned().collect();
        let due = Schedule::new(of_agent, at(now)).of_agent(id, &edges);
        found.told += counts(&arrived, &due).into_iter().sum();
    }
    found.slack = 2 * all.len() as i64 + edges.len() as i64;
    // Time in which no agent was to look, although one had before, is due at the interval of the agent that stopped.
    let schedule = Schedule::new(all, at(now));
    let idle = schedule.of_no_agent(&edges);
    found.told += counts(&[], &idle).into_iter().sum();
    let idle: i64 = idle.iter().sum();
    (found.expected, found.missing) = (found.expected + idle, found.missing + idle);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// When each time has a whole number of slots, not one check more is open than was missed.
    #[test]
    fn the_bounds_are_as_narrow_as_what_was_missed_and_hold_the_truth(story in story(30, &[5, 10, 15, 30])) {
        let Outcome { told, expected, up, missing, .. } = outcome(&story);
        prop_assert_eq!((told.expected(), told.unseen), (expected, missing));
        if let Some(bounds) = told.bounds() {
            // The site may have been up or down while no agent was to look.
            let (least, most) = (up as f64 / expected as f64, (up + unowned(&story)) as f64 / expected as f64);
            prop_assert!(bounds.lower <= least && most <= bounds.upper, "{:?} and {} to {}", bounds, least, most);
        }
    }

    /// When times have parts of slots, the bounds are wrong by at most a slot for each beginning and end.
    #[test]
    fn the_bounds_hold_the_truth_whenever_agents_start_and_stop(story in story(1, &[7, 10, 45, 100])) {
        let Outcome { told, expected, missing, up, slack } = outcome(&story);
        prop_assert!((told.expected() - expected).abs() <= slack, "{} of {} expected", told.expected(), expected);
        prop_assert!((told.unseen - missing).abs() <= slack, "{} of {} missing", told.unseen, missing);
        prop_assert!(told.success <= up, "{} of {} up", told.success, up);
        prop_assert!(told.success + told.unseen + told.agent_errors + slack >= up);
    }
}

/// Returns how many whole slots lie in the times in which no agent was to look.
fn unowned(story: &Story) -> i64 {
    let now = HOURS * 3_600;
    let (_, edges) = bars(Window { since: at(story.cut.0), until: at(now - story.cut.1) });
    let spans = (0..story.agents.len()).flat_map(|agent| story.spans(agent, now)).map(|(span, _)| span);
    Schedule::new(spans.collect(), at(now)).of_no_agent(&edges).iter().sum()
}
