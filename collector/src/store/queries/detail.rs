//! Reads the details of one monitor.

use std::collections::{BTreeMap, BTreeSet};

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Double, Integer, Timestamptz};
use jiff::Timestamp;

use super::history::bars;
use super::history::bars::Row;
use super::history::incidents;
use super::history::response_times::Answers;
use super::history::summaries::place;
use super::overview::{shown, summaries};
use super::{Names, latest, results, schedules};
use crate::figures::Window;
use crate::figures::counts::Counts;
use crate::figures::detail::{Detail, Gap, Late, Point, Side};
use crate::figures::due::Schedule;
use crate::figures::overview::Bar;
use crate::figures::period::Period;
use crate::store::db::error::StoreError;
use crate::store::db::outcomes::ANSWERED;
use crate::store::db::time::{pg_time, time};

/// Reads one monitor. Returns `None` when nothing is known by that id.
pub(crate) fn read(
    connection: &mut PgConnection,
    id: &str,
    period: Period,
    now: Timestamp,
) -> Result<Option<Detail>, StoreError> {
    let edges = period.edges(now);
    let window = Window::between(&edges);
    // Results that arrived are shown at once, so their window ends now. Only missing results may still be on their way.
    let up_to_now = Window { until: now, ..window };
    let names = Names::of(connection, Some(id))?;
    let schedules = schedules::read(connection, edges[0], now, Some(id))?;
    let ids = names.monitor_ids();
    let arrived = bars::read(connection, period.grain(), &edges, &ids)?;
    let states = latest::read(connection, &names, &schedules, now)?;
    let Some(summary) = summaries(&names, &schedules, &edges, bars::sum(&arrived, &edges), states).pop() else {
        return Ok(None);
    };
    let never = Schedule::default();
    let schedule = schedules.get(id).unwrap_or(&never);
    let agents = sides(&names, &arrived, schedule, &edges);
    let results = results::read(connection, &ids, now, Detail::MOST + 1)?;
    let incidents = match incidents::may_be(&agents, &results, window.until) {
        true => incidents::read(connection, &names, &schedules, up_to_now)?,
        false => Vec::new(),
    };
    Ok(Some(Detail {
        as_of: now,
        period,
        window,
        series: match period {
            Period::Day => phases(connection, &ids, up_to_now)?,
            Period::Month | Period::Quarter => series(&arrived),
        },
        incidents,
        gaps: gaps(&agents, schedule, &edges),
        late: late(connection, &names, &agents, window)?,
        results,
        summary,
        agents,
    }))
}

/// Returns what each agent saw that looks at the monitor, did so, or was to.
fn sides(names: &Names, arrived: &[Row], schedule: &Schedule, edges: &[Timestamp]) -> Vec<Side> {
    let Window { since, until } = Window::between(edges);
    let mut of_agents: BTreeMap<i32, (Vec<Counts>, Answers)> = BTreeMap::new();
    for row in arrived {
        let nothing = || (vec![Counts::default(); edges.len() - 1], Answers::default());
        let (bars, answers) = of_agents.entry(row.arrival.agent_id).or_insert_with(nothing);
        bars[place(row.begins, edges)] += (&row.arrival).into();
        *answers += &row.answers;
    }
    let due = schedule.due(since, until);
    let owing = due.iter().filter(|(_, due)| **due > 0).map(|(id, _)| *id);
    let looking = schedule.lookers().map(|(id, _)| id);
    let ids: BTreeSet<i32> = of_agents.keys().copied().chain(owing).chain(looking).collect();
    let side = |agent_id: i32| {
        let (arrived, answers) = of_agents.remove(&agent_id).unwrap_or_default();
        let bars = shown(&arrived, &schedule.of_agent(agent_id, edges), edges);
        let counts = bars.iter().map(|bar| bar.counts).sum();
        Side { agent: names.agent(agent_id), counts, times: answers.times(), bars }
    };
    let mut sides: Vec<Side> = ids.into_iter().map(side).collect();
    sides.sort_by(|a, b| a.agent.cmp(&b.agent));
    sides
}

/// Returns the response times by bar, over all agents.
fn series(arrived: &[Row]) -> Vec<Point> {
    let mut by_bar: BTreeMap<i64, Answers> = BTreeMap::new();
    for row in arrived {
        *by_bar.entry(row.begins.0).or_default() += &row.answers;
    }
    let point = |(since, answers): (i64, Answers)| {
        let (p50_us, p95_us) = (answers.percentile(0.5)?, answers.percentile(0.95)?);
        Some(Point { since: time(PgTimestamp(since)), p50_us, p95_us, phases_us: None })
    };
    by_bar.into_iter().filter_map(point).collect()
}

/// Reads the response times of the last 24 hours with their phases, by quarters of an hour.
fn phases(connection: &mut PgConnection, monitors: &[i32], window: Window) -> Result<Vec<Point>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        since: PgTimestamp,
        #[diesel(sql_type = Double)]
        p50_us: f64,
        #[diesel(sql_type = Double)]
        p95_us: f64,
        #[diesel(sql_type = Array<Double>)]
        phases_us: Vec<f64>,
    }
    let rows: Vec<Row> = sql_query(format!(
        "select date_bin('15 minutes', r.checked_at, '1970-01-01 00:00:00Z') as since,
                percentile_disc(0.5) within group (order by r.response_time_us)::double precision as p50_us,
                percentile_disc(0.95) within group (order by r.response_time_us)::double precision as p95_us,
                array[coalesce(avg(r.dns_us), 0), coalesce(avg(r.connect_us), 0), coalesce(avg(r.tls_us), 0),
                      coalesce(avg(r.first_byte_us), 0), coalesce(avg(r.body_us), 0)]::double precision[] as phases_us
         from results r
         where r.monitor_id = any($1) and r.checked_at >= $2 and r.checked_at < $3 and r.response_time_us is not null
           and r.outcome in {ANSWERED}
         group by 1 order by 1"
    ))
    .bind::<Array<Integer>, _>(monitors)
    .bind::<Timestamptz, _>(pg_time(window.since))
    .bind::<Timestamptz, _>(pg_time(window.until))
    .load(connection)?;
    let point = |row: Row| Point {
        since: time(row.since),
        p50_us: row.p50_us,
        p95_us: row.p95_us,
        phases_us: row.phases_us.try_into().ok(),
    };
    Ok(rows.into_iter().map(point).collect())
}

/// Returns the gaps of each agent, and those of time in which no agent was to look, the newest first. A gap joins
/// neighbouring bars that have unseen results or agent errors.
fn gaps(agents: &[Side], schedule: &Schedule, edges: &[Timestamp]) -> Vec<Gap> {
    let unowned: Vec<Bar> = shown(&[], &schedule.of_no_agent(edges), edges);
    let all = agents.iter().map(|side| (Some(&side.agent), &side.bars)).chain([(None, &unowned)]);
    let mut gaps: Vec<Gap> = Vec::new();
    for (agent, bars) in all {
        let mut open: Option<Gap> = None;
        for (n, bar) in bars.iter().enumerate() {
            let Counts { unseen, agent_errors, .. } = bar.counts;
            if unseen == 0 && agent_errors == 0 {
                gaps.extend(open.take());
                continue;
            }
            let empty =
                || Gap { agent: agent.cloned(), began: bar.since, ended: bar.since, unseen: 0, agent_errors: 0 };
            let gap = open.get_or_insert_with(empty);
            gap.ended = edges[n + 1];
            gap.unseen += unseen;
            gap.agent_errors += agent_errors;
        }
        gaps.extend(open);
    }
    gaps.sort_by(|a, b| (b.began, &a.agent).cmp(&(a.began, &b.agent)));
    gaps.truncate(Detail::MOST);
    gaps
}

/// Reads what came late from the agents that look at the monitor.
fn late(
    connection: &mut PgConnection,
    names: &Names,
    agents: &[Side],
    window: Window,
) -> Result<Vec<Late>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        agent_id: i32,
        #[diesel(sql_type = Timestamptz)]
        hour: PgTimestamp,
        #[diesel(sql_type = Timestamptz)]
        received_at: PgTimestamp,
        #[diesel(sql_type = BigInt)]
        results: i64,
    }
    let wanted = |name: &String| agents.iter().any(|side| side.agent == *name);
    let ids: Vec<i32> = names.agents.iter().filter(|(_, name)| wanted(name)).map(|(id, _)| *id).collect();
    let rows: Vec<Row> = sql_query(
        "select agent_id, hour, max(received_at) as received_at, sum(results) as results
         from late_arrivals where hour >= $1 and hour < $2 and agent_id = any($3)
         group by 1, 2 order by hour desc, agent_id limit $4",
    )
    .bind::<Timestamptz, _>(pg_time(window.since))
    .bind::<Timestamptz, _>(pg_time(window.until))
    .bind::<Array<Integer>, _>(ids)
    .bind::<BigInt, _>(i64::try_from(Detail::MOST).unwrap_or(i64::MAX))
    .load(connection)?;
    let late = |row: Row| Late {
        agent: names.agent(row.agent_id),
        hour: time(row.hour),
        received_at: time(row.received_at),
        results: row.results,
    };
    Ok(rows.into_iter().map(late).collect())
}
