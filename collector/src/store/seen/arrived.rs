//! What arrived of all monitors, from where it is cheapest to read and yet the whole truth.
//!
//! ```text
//! days ─▶ blocks, but for monitors that are due ─┐ left: all hours of today, and what came late
//!                                                ▼
//! hours ────────────▶ blocks, but for monitors that are due ─┐ left
//!                                                            ├─▶ not due, and in no block: rows of hourly
//!                                                            └─▶ due: results
//! ```
//! All of it is read in one snapshot, so that what a mark says is due is in no block and in the results.

use std::collections::BTreeMap;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Integer, Multirange, Timestamptz};
use fnv::FnvHashMap;
use jiff::Timestamp;

use super::super::blocks::{self, Arrival, Span};
use super::super::names::from_sql;
use super::super::tables::{ANSWERED, pg_time};
use super::super::trouble::Trouble;
use super::answers::Answers;
use super::bars::place;
use crate::figures::counts::Counts;
use crate::figures::period::Period;
use crate::ranges::Ranges;

/// What arrived in each bar.
pub(super) struct Arrived {
    /// How many bars there are.
    bars: usize,
    /// By monitor and agent.
    pub(super) by_agent: FnvHashMap<(i32, i32), Vec<Counts>>,
    /// By monitor.
    pub(super) answers: FnvHashMap<i32, Answers>,
}

impl Arrived {
    /// Nothing yet, in bars with these edges.
    pub(super) fn new(edges: &[Timestamp]) -> Arrived {
        Arrived { bars: edges.len() - 1, by_agent: FnvHashMap::default(), answers: FnvHashMap::default() }
    }

    pub(super) fn answers(&mut self, monitor_id: i32) -> &mut Answers {
        self.answers.entry(monitor_id).or_default()
    }

    pub(super) fn add(&mut self, arrival: &Arrival, bar: usize) {
        let key = (arrival.monitor_id, arrival.agent_id);
        let bars = self.by_agent.entry(key).or_insert_with(|| vec![Counts::default(); self.bars]);
        bars[bar] += arrival.into();
    }
}

impl From<&Arrival> for Counts {
    fn from(arrival: &Arrival) -> Counts {
        let Arrival { checks, success, agent_error, .. } = *arrival;
        Counts { checks: checks.into(), success: success.into(), agent_errors: agent_error.into(), unseen: 0 }
    }
}

/// Monitors by the begin of an hour or a day, as the database counts time.
type Monitors = BTreeMap<i64, Ranges>;

/// All that there is of these monitors in a period that ends at the last edge.
pub(super) fn read(
    connection: &mut PgConnection,
    period: Period,
    edges: &[Timestamp],
    monitors: &[i32],
) -> Result<Arrived, Trouble> {
    let all = Ranges::span(0, monitors.iter().max().copied().unwrap_or(0).into());
    let mut reading = Reading { due: Due::read(connection, edges)?, edges, arrived: Arrived::new(edges), connection };
    let bars: Monitors = edges[..edges.len() - 1].iter().map(|bar| (pg_time(*bar).0, all.clone())).collect();
    let hours = match period {
        Period::Day => bars,
        Period::Month | Period::Quarter => reading.days(bars)?,
    };
    reading.hours(hours, monitors)?;
    Ok(reading.arrived)
}

/// Which hours and days are to be made anew, for which monitors.
struct Due {
    hours: Monitors,
    days: Monitors,
}

struct Reading<'a> {
    connection: &'a mut PgConnection,
    edges: &'a [Timestamp],
    due: Due,
    arrived: Arrived,
}

impl Reading<'_> {
    /// What there is of days; the hours that are to be looked at instead.
    fn days(&mut self, days: Monitors) -> Result<Monitors, Trouble> {
        let left = self.packed(Span::Day, &days)?;
        let until = pg_time(self.edges[self.edges.len() - 1]).0;
        let mut hours = Monitors::new();
        for (day, monitors) in left {
            let of_day = (0..24).map(|hour| day + hour * HOUR).take_while(|hour| *hour < until);
            hours.extend(of_day.map(|hour| (hour, monitors.clone())));
        }
        Ok(hours)
    }

    /// What there is of hours.
    fn hours(&mut self, hours: Monitors, monitors: &[i32]) -> Result<(), Trouble> {
        let left = self.packed(Span::Hour, &hours)?;
        for (hour, left) in left {
            let due = self.due.of(Span::Hour, hour);
            let is_due = |id: &&i32| left.contains(i64::from(**id)) && due.contains(i64::from(**id));
            let due_now: Vec<i32> = monitors.iter().filter(is_due).copied().collect();
            self.results(hour, &due_now)?;
            self.rows(hour, &left.minus(&due))?;
        }
        Ok(())
    }

    /// Adds what is packed of these monitors and not due; those that are left.
    fn packed(&mut self, span: Span, wanted: &Monitors) -> Result<Monitors, Trouble> {
        let mut left = wanted.clone();
        let begins: Vec<PgTimestamp> = wanted.keys().map(|begins| PgTimestamp(*begins)).collect();
        for stored in blocks::read(self.connection, span, &begins)? {
            let (Some(wanted), Some(left)) = (wanted.get(&stored.begins.0), left.get_mut(&stored.begins.0)) else {
                continue;
            };
            let due = self.due.of(span, stored.begins.0);
            let bar = place(stored.begins, self.edges);
            let is_wanted = |id: i32| wanted.contains(id.into()) && !due.contains(id.into());
            for arrival in stored.content.arrivals.iter().filter(|it| is_wanted(it.monitor_id)) {
                self.arrived.add(arrival, bar);
            }
            for times in stored.content.times.iter().filter(|it| is_wanted(it.monitor_id)) {
                self.arrived.answers(times.monitor_id).add_packed(times);
            }
            // What is due is left, though it is packed.
            *left = left.minus(&stored.monitors.minus(&due));
        }
        left.retain(|_, monitors| !monitors.is_empty());
        Ok(left)
    }

    /// Adds the summaries of an hour that are not packed.
    fn rows(&mut self, hour: i64, monitors: &Ranges) -> Result<(), Trouble> {
        if monitors.is_empty() {
            return Ok(());
        }
        let hour = PgTimestamp(hour);
        for row in blocks::rows(self.connection, Span::Hour, hour, monitors)? {
            self.arrived.add(&row.arrival, place(hour, self.edges));
            if let Some(times) = row.times() {
                self.arrived.answers(times.monitor_id).add_packed(&times);
            }
        }
        Ok(())
    }

    /// Adds the results of an hour, up to the last edge.
    fn results(&mut self, hour: i64, monitors: &[i32]) -> Result<(), Trouble> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(embed)]
            arrival: Arrival,
            #[diesel(sql_type = Array<BigInt>)]
            answers_us: Vec<i64>,
        }
        if monitors.is_empty() {
            return Ok(());
        }
        let until = pg_time(self.edges[self.edges.len() - 1]).0.min(hour + HOUR);
        let rows: Vec<Row> = sql_query(format!(
            "select g.monitor_id, e.agent_id, g.checks, g.success, g.agent_error, g.answers_us
             from (
                 select p.monitor_id, r.*
                 from unnest($1) p(monitor_id)
                 cross join lateral (
                     select s.epoch_id, count(*)::integer as checks,
                            (count(*) filter (where s.outcome = 'success'))::integer as success,
                            (count(*) filter (where s.outcome = 'agent_error'))::integer as agent_error,
                            coalesce(array_agg(s.response_time_us) filter (
                                where s.response_time_us is not null and s.outcome in {ANSWERED}
                            ), '{{}}') as answers_us
                     from results s
                     where s.monitor_id = p.monitor_id and s.checked_at >= $2 and s.checked_at < $3
                     group by 1
                 ) r
             ) g
             -- After the aggregate: inside of it, every monitor would look through all epochs.
             join epochs e using (epoch_id)"
        ))
        .bind::<Array<Integer>, _>(monitors)
        .bind::<Timestamptz, _>(PgTimestamp(hour))
        .bind::<Timestamptz, _>(PgTimestamp(until))
        .load(self.connection)?;
        let bar = place(PgTimestamp(hour), self.edges);
        for row in rows {
            self.arrived.add(&row.arrival, bar);
            let answers = self.arrived.answers(row.arrival.monitor_id);
            row.answers_us.into_iter().for_each(|us| answers.add(us));
        }
        Ok(())
    }
}

/// In microseconds.
const HOUR: i64 = 3_600_000_000;

impl Due {
    fn read(connection: &mut PgConnection, edges: &[Timestamp]) -> Result<Due, Trouble> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Timestamptz)]
            begins: PgTimestamp,
            #[diesel(sql_type = Multirange<BigInt>)]
            monitors: Vec<(std::ops::Bound<i64>, std::ops::Bound<i64>)>,
        }
        let mut of = |marks: &str| -> Result<Monitors, Trouble> {
            let rows: Vec<Row> = sql_query(format!(
                "select m.begins, range_agg(int8range(lower(r.ids), upper(r.ids))) as monitors
                 from ({marks}) m(begins, monitors) cross join lateral unnest(m.monitors) r(ids)
                 where m.begins >= $1 group by 1"
            ))
            .bind::<Timestamptz, _>(pg_time(edges[0]))
            .load(connection)?;
            Ok(rows.into_iter().map(|row| (row.begins.0, from_sql(row.monitors))).collect())
        };
        Ok(Due {
            hours: of("select hour, monitors from rollup_due")?,
            // A day is due as long as one of its hours is.
            days: of("select day, monitors from daily_due
                      union all
                      select date_bin('1 day', hour, '1970-01-01 00:00:00Z'), monitors from rollup_due")?,
        })
    }

    fn of(&self, span: Span, begins: i64) -> Ranges {
        let due = if span.is_day() { &self.days } else { &self.hours };
        due.get(&begins).cloned().unwrap_or_default()
    }
}
