//! A made-up fleet, which is the same at each run: three agents, one of them away for two days, a day in which no agent
//! looked, and monitors with troubles of each kind.

use jiff::{SignedDuration, Timestamp};

use crate::figures::agent::{AgentRow, Presence};
use crate::figures::alerts::AlertCounts;
use crate::figures::counts::Counts;
use crate::figures::detail::{Detail, Gap, Late, Point, ResultRow, Side};
use crate::figures::incident::{Blame, Incident};
use crate::figures::looks::look::{Latest, Look};
use crate::figures::looks::observation::Observation;
use crate::figures::looks::state::State;
use crate::figures::overview::{Bar, Overview, Summary, Tags};
use crate::figures::period::Period;
use crate::figures::{ResponseTimes, Window};

const AGENTS: [&str; 3] = ["edge-frankfurt", "edge-oregon", "edge-singapore"];
const TEAMS: [&str; 5] = ["web", "shop", "payments", "data", "platform"];
const SERVICES: [&str; 8] = ["api", "login", "checkout", "search", "images", "docs", "reports", "mail"];
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The random generator SplitMix64.
pub(crate) struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to below a bound.
    fn below(&mut self, bound: i64) -> i64 {
        (self.next() % bound as u64) as i64
    }

    fn is_one_in(&mut self, many: i64) -> bool {
        self.below(many) == 0
    }
}

/// Returns the moment to which all figures of the fleet refer.
pub(crate) fn now() -> Timestamp {
    "2026-11-27T13:10:03.2Z".parse().unwrap()
}

fn window(period: Period) -> (Window, SignedDuration, i64) {
    let (length, count) = match period {
        Period::Day => (HOUR, 24),
        Period::Month => (HOUR * 24, 30),
        Period::Quarter => (HOUR * 24, 90),
    };
    let seconds = length.as_secs();
    let latest = now().as_second() / seconds * seconds;
    let since = Timestamp::from_second(latest - (count - 1) * seconds).unwrap();
    (Window { since, until: now() }, length, count)
}

/// Returns what an agent saw in a bar with one check a minute.
fn seen(chance: &mut Chance, agent: usize, back: i64, per_bar: i64, ill: bool) -> Counts {
    let lost = match (agent, back) {
        (_, 17) => per_bar,
        (1, 9 | 10) => per_bar,
        _ if chance.is_one_in(60) => chance.below(per_bar / 3) + 1,
        _ => 0,
    };
    let checks = per_bar - lost;
    let spoiled = if chance.is_one_in(150) { chance.below(4).min(checks) } else { 0 };
    let failed = match ill {
        true if back < 2 => checks - spoiled,
        _ if chance.is_one_in(35) => chance.below(1 + (checks - spoiled) / 12),
        _ => 0,
    };
    Counts { checks, success: checks - spoiled - failed, agent_errors: spoiled, unseen: lost }
}

fn times(chance: &mut Chance) -> ResponseTimes {
    let p50 = 20_000.0 + chance.below(180_000) as f64;
    ResponseTimes {
        answered: 4_000,
        mean_us: Some(p50 * 1.1),
        p50_us: Some(p50),
        p95_us: Some(p50 * 1.9),
        p99_us: Some(p50 * 3.2),
        max_us: Some((p50 * 9.0) as i64),
    }
}

fn latest(chance: &mut Chance, agent: &str, look: Look) -> Latest {
    let failure = look == Look::Failure;
    let back = if look == Look::Silent { 95 * 60 } else { 5 + chance.below(50) };
    Latest {
        agent: agent.into(),
        look,
        checked_at: Some(now() - SignedDuration::from_secs(back)),
        outcome: Some(match look {
            Look::Failure => "status_mismatch".into(),
            Look::AgentError => "agent_error".into(),
            _ => "success".into(),
        }),
        status_code: match look {
            Look::Failure => Some(503),
            Look::AgentError => None,
            _ => Some(200),
        },
        response_time_us: Some(48_000),
        error: failure.then(|| "expected a status of 200 to 299, got 503".into()),
        certificate_not_after: Some(now() + HOUR * 24 * (3 + chance.below(80) as i32)),
        certificate_first_end: None,
    }
}

fn looks(index: usize) -> [Look; 3] {
    use Look::{AgentError, Failure, Silent, Success};
    match index % 200 {
        7 => [Failure, Failure, Failure],
        23 => [Success, Failure, Success],
        41 => [Silent, Silent, Silent],
        59 => [AgentError, Silent, Silent],
        83 => [Success, Silent, Success],
        _ => [Success, Success, Success],
    }
}

fn sides(index: usize, period: Period) -> Vec<Side> {
    let (window, length, count) = window(period);
    let per_bar = length.as_secs() / 60;
    let born = if index % 37 == 5 { count / 3 } else { 0 };
    let side = |(agent, name): (usize, &&str)| {
        let mut chance = Chance((index * 31 + agent) as u64);
        let bar = |n: i64| Bar {
            since: window.since + length * n as i32,
            counts: if n < born {
                Counts::default()
            } else {
                seen(&mut chance, agent, count - 1 - n, per_bar, looks(index)[agent] == Look::Failure)
            },
        };
        let bars: Vec<Bar> = (0..count).map(bar).collect();
        let mut counts = Counts::default();
        bars.iter().for_each(|bar| counts += bar.counts);
        Side { agent: name.to_string(), counts, times: times(&mut chance), bars }
    };
    AGENTS.iter().enumerate().map(side).collect()
}

fn summary(index: usize, period: Period) -> Summary {
    let mut chance = Chance(index as u64);
    let sides = sides(index, period);
    let mut bars = sides[0].bars.clone();
    for side in &sides[1..] {
        for (bar, other) in bars.iter_mut().zip(&side.bars) {
            bar.counts += other.counts;
        }
    }
    let mut counts = Counts::default();
    bars.iter().for_each(|bar| counts += bar.counts);
    let (team, service) = (TEAMS[index % 5], SERVICES[index / 5 % 8]);
    let name = format!("{team} {service} {index:03}");
    let is_retired = index % 100 == 19;
    let agents = AGENTS.iter().zip(looks(index)).map(|(agent, look)| Observation::of(latest(&mut chance, agent, look)));
    let zone = if index.is_multiple_of(2) { "eu" } else { "us" };
    Summary {
        id: name.replace(' ', "-"),
        url: format!("https://{service}-{index}.{team}.example/health"),
        name,
        tags: Tags::from([("team".into(), team.into()), ("zone".into(), zone.into())]),
        state: State::new(if is_retired { vec![] } else { agents.collect() }),
        is_retired,
        counts,
        times: times(&mut chance),
        bars,
    }
}

/// Returns this number of monitors in short.
pub(crate) fn overview(monitors: usize, period: Period) -> Overview {
    let mut monitors: Vec<Summary> = (0..monitors).map(|index| summary(index, period)).collect();
    monitors.sort_by(|a, b| a.name.cmp(&b.name));
    Overview { as_of: now(), period, window: window(period).0, monitors }
}

/// Returns one of the monitors at length.
pub(crate) fn detail(index: usize, period: Period) -> Detail {
    let (window, length, count) = window(period);
    let mut chance = Chance(index as u64 + 77);
    // The points of a day stand for quarters of an hour, and have phases.
    let parts = if period == Period::Day { 4 } else { 1 };
    let is_seen = |n: &i64| count - 1 - n / parts != 17;
    let point = |n: i64| {
        let since = window.since + length / parts as i32 * n as i32;
        let p50 = 60_000.0 + chance.below(30_000) as f64;
        let slow = if chance.is_one_in(12) { 4.0 } else { 1.6 };
        let phases = [0.05, 0.15, 0.25, 0.45, 0.1].map(|part| part * p50);
        Point { since, p50_us: p50, p95_us: p50 * slow, phases_us: (parts > 1).then_some(phases) }
    };
    let series = (0..count * parts).filter(is_seen).map(point).take_while(|point| point.since < now()).collect();
    let names = |agents: &[&str]| agents.iter().map(|agent| (*agent).to_owned()).collect::<Vec<_>>();
    let incident = |hours: i32, minutes: Option<i32>, failing: &[&str], passing: &[&str]| Incident {
        blame: if passing.is_empty() { Blame::Target } else { Blame::Path },
        began: now() - HOUR * hours,
        ended: minutes.map(|minutes| now() - HOUR * hours + SignedDuration::from_mins(1) * minutes),
        is_end_known: true,
        failing: names(failing),
        passing: names(passing),
        failures: 3 * i64::from(minutes.unwrap_or(90)),
        outcome: "status_mismatch".into(),
        status_code: Some(503),
        error: Some("expected a status of 200 to 299, got 503".into()),
    };
    let gap = |agent: Option<&str>, hours: i32, long: i32, agent_errors| Gap {
        agent: agent.map(Into::into),
        began: window.until.round(jiff::Unit::Hour).unwrap() - HOUR * hours,
        ended: window.until.round(jiff::Unit::Hour).unwrap() - HOUR * (hours - long),
        unseen: i64::from(long) * 60 - agent_errors,
        agent_errors,
    };
    Detail {
        as_of: now(),
        period,
        window,
        summary: summary(index, period),
        agents: sides(index, period),
        series,
        incidents: vec![
            incident(2, if looks(index)[0] == Look::Failure { None } else { Some(12) }, &AGENTS, &[]),
            incident(7, Some(3), &AGENTS[1..2], &[AGENTS[0], AGENTS[2]]),
        ],
        gaps: vec![gap(Some(AGENTS[1]), 10, 2, 0), gap(None, 17, 1, 0), gap(Some(AGENTS[0]), 20, 1, 60)],
        late: vec![Late {
            agent: AGENTS[2].into(),
            hour: now().round(jiff::Unit::Hour).unwrap() - HOUR * 8,
            received_at: now() - HOUR * 4,
            results: 1_260,
        }],
        results: results(now()),
    }
}

/// Returns results of one monitor from before a moment, newest first: those of a page of [`Detail::MOST`], and one
/// more.
pub(crate) fn results(before: Timestamp) -> Vec<ResultRow> {
    let mut chance = Chance(before.as_second() as u64);
    let row = |n: usize| {
        let failure = chance.is_one_in(9);
        ResultRow {
            checked_at: before - SignedDuration::from_secs(20 * (n as i64 + 1)),
            agent: AGENTS[n % 3].into(),
            outcome: if failure { "status_mismatch".into() } else { "success".into() },
            status_code: Some(if failure { 503 } else { 200 }),
            reason: Some(if failure { "Service Unavailable".into() } else { "OK".into() }),
            response_time_us: Some(40_000 + chance.below(50_000)),
            phases_us: [Some(1_200), Some(9_000), Some(14_000), Some(20_000), Some(800)],
            attempts: 1,
            peer: Some("192.0.2.7:443".into()),
            certificate_not_after: Some(now() + HOUR * 24 * 61),
            certificate_first_end: None,
            error: failure.then(|| "expected a status of 200 to 299, got 503".into()),
        }
    };
    (0..=Detail::MOST).map(row).collect()
}

/// Returns the counts of some alerts in each state.
pub(crate) fn alerts() -> AlertCounts {
    let oldest = SignedDuration::from_secs(90);
    AlertCounts { pending: 1, firing: 2, suppressed: 3, waiting: 4, oldest }
}

/// Returns the agents: one runs, one has troubles, one is silent, one has stopped, one is gone.
pub(crate) fn agents() -> Vec<AgentRow> {
    let agent = |name: &str, presence, back: i64| AgentRow {
        name: name.into(),
        version: Some("0.1.0".into()),
        labels: Tags::from([("region".into(), name.trim_start_matches("edge-").into())]),
        first_seen: Some(now() - SignedDuration::from_hours(24 * 30)),
        last_seen: Some(now() - SignedDuration::from_secs(back)),
        last_report: Some(now() - SignedDuration::from_secs(back + 1)),
        presence,
        retired_since: None,
        doubled: false,
        monitors: 1_000,
        pending: 12,
        dropped: 0,
        rejected: 0,
        outbox_bytes: Some(4 << 20),
        clock_behind_us: 0,
        clock_jumps: 0,
        last_jump_us: 0,
        configuration_faults: 0,
        missed: [("workers_busy".to_owned(), 0)].into(),
    };
    vec![
        agent(AGENTS[0], Presence::Running, 31),
        AgentRow {
            doubled: true,
            pending: 48_211,
            dropped: 500,
            rejected: 2,
            clock_behind_us: 300_000_000,
            clock_jumps: 1,
            last_jump_us: -3_600_000_000,
            configuration_faults: 2,
            missed: [("workers_busy".to_owned(), 1_204), ("outbox_full".to_owned(), 31)].into(),
            ..agent(AGENTS[1], Presence::Running, 12)
        },
        agent(AGENTS[2], Presence::Silent, 95 * 60),
        agent("edge-warsaw", Presence::Stopped, 3 * 86_400),
        AgentRow {
            retired_since: Some(now() - SignedDuration::from_hours(24 * 9)),
            ..agent("edge-berlin", Presence::Retired, 9 * 86_400)
        },
    ]
}
