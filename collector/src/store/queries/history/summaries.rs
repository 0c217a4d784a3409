//! Reads what arrived of all monitors, from the tables where it is cheapest to read and still complete.
//!
//! ```text
//! days ─▶ blocks, but for monitors that are due ─┐ left
//!                                                ├─▶ not due, and in no block: rows of daily
//!                                                ▼ due, and all of today
//! hours ────────────▶ blocks, but for monitors that are due ─┐ left: also what an hour that goes on has since it was packed
//!                                                            ├─▶ not due, and in no block: rows of hourly
//!                                                            └─▶ due: results
//! ```
//! All of it is read in one snapshot. Where a mark says that something is due, it is taken from the results alone,
//! which are complete.

use std::collections::BTreeMap;

use diesel::PgConnection;
use diesel::pg::data_types::PgTimestamp;
use fnv::FnvHashMap;
use jiff::Timestamp;

use super::response_times::Answers;
use crate::figures::counts::Counts;
use crate::figures::period::{Grain, Period};
use crate::ranges::Ranges;
use crate::store::db::error::StoreError;
use crate::store::db::time::{pg_time, time};
use crate::store::queries::due::Due;
use crate::store::summary_blocks;
use crate::store::summary_blocks::{Arrival, HOUR, Span, Stored, Summary};

/// Returns the number of the bar in which this begin lies.
pub(in crate::store) fn place(begins: PgTimestamp, edges: &[Timestamp]) -> usize {
    let begins = time(begins);
    edges.partition_point(|edge| *edge <= begins).saturating_sub(1).min(edges.len() - 2)
}

/// What arrived in each bar.
pub(crate) struct Arrived {
    /// The number of bars.
    bars: usize,
    /// The counts of checks in each bar, by monitor and agent.
    pub(crate) by_agent: FnvHashMap<(i32, i32), Vec<Counts>>,
    /// The response times, by monitor.
    pub(crate) answers: FnvHashMap<i32, Answers>,
}

impl Arrived {
    /// Creates empty sums for bars with these edges.
    pub(crate) fn new(edges: &[Timestamp]) -> Arrived {
        Arrived { bars: edges.len() - 1, by_agent: FnvHashMap::default(), answers: FnvHashMap::default() }
    }

    pub(crate) fn answers(&mut self, monitor_id: i32) -> &mut Answers {
        self.answers.entry(monitor_id).or_default()
    }

    pub(crate) fn add(&mut self, arrival: &Arrival, bar: usize) {
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

/// What is left to be read: the monitors of each hour or day, and the time from which on they are read.
type Left = BTreeMap<i64, Vec<(i64, Ranges)>>;

/// Reads all that there is of these monitors in a period that ends at the last edge.
pub(crate) fn read(
    connection: &mut PgConnection,
    period: Period,
    edges: &[Timestamp],
    monitors: &[i32],
) -> Result<Arrived, StoreError> {
    let all = Ranges::from_parts(monitors.iter().map(|id| (i64::from(*id), i64::from(*id) + 1)).collect());
    let mut reading =
        Reading { due: Due::read(connection, edges[0])?, edges, arrived: Arrived::new(edges), connection };
    let bars: Monitors = edges[..edges.len() - 1].iter().map(|bar| (pg_time(*bar).0, all.clone())).collect();
    let hours = match period.grain() {
        Grain::Hour => bars,
        Grain::Day => reading.days(&bars)?,
    };
    reading.hours(&hours, monitors)?;
    Ok(reading.arrived)
}

struct Reading<'a> {
    connection: &'a mut PgConnection,
    edges: &'a [Timestamp],
    due: Due,
    arrived: Arrived,
}

impl Reading<'_> {
    /// Adds what there is of days. Returns the hours that are to be read instead of days.
    fn days(&mut self, days: &Monitors) -> Result<Monitors, StoreError> {
        let left = self.packed(Span::Day, days)?;
        let until = self.until();
        let mut hours = Monitors::new();
        for (day, parts) in left {
            let left = parts.into_iter().fold(Ranges::new(), |all, (_, monitors)| all.union(&monitors));
            // A day that the period cuts has no row yet, or a row that counts more than the part in the period.
            let is_whole = Span::Day.end(PgTimestamp(day)).0 <= until;
            let settled = if is_whole { left.minus(&self.due.of(Span::Day, day, i64::MAX)) } else { Ranges::new() };
            self.rows(Span::Day, day, &settled)?;
            let monitors = left.minus(&settled);
            if monitors.is_empty() {
                continue;
            }
            let of_day = (0..24).map(|hour| day + hour * HOUR).take_while(|hour| *hour < until);
            hours.extend(of_day.map(|hour| (hour, monitors.clone())));
        }
        Ok(hours)
    }

    /// Adds what there is of hours.
    fn hours(&mut self, hours: &Monitors, monitors: &[i32]) -> Result<(), StoreError> {
        for (hour, parts) in self.packed(Span::Hour, hours)? {
            let due = self.due.of(Span::Hour, hour, i64::MAX);
            let mut live = Vec::new();
            for (since, left) in parts {
                let is_due = |id: &&i32| left.contains(i64::from(**id)) && due.contains(i64::from(**id));
                live.extend(monitors.iter().filter(is_due).map(|id| (*id, PgTimestamp(since))));
                // A monitor that is packed and not due has nothing more.
                if since == hour {
                    self.rows(Span::Hour, hour, &left.minus(&due))?;
                }
            }
            self.results(hour, &live)?;
        }
        Ok(())
    }

    /// Adds what is packed of these monitors and not due. Returns what is left.
    fn packed(&mut self, span: Span, wanted: &Monitors) -> Result<Left, StoreError> {
        let mut left: Left = wanted.iter().map(|(begins, all)| (*begins, vec![(*begins, all.clone())])).collect();
        let begins: Vec<PgTimestamp> = wanted.keys().map(|begins| PgTimestamp(*begins)).collect();
        for stored in summary_blocks::read(self.connection, span, &begins)? {
            let Stored { begins, until, monitors, content, .. } = stored;
            let (Some(wanted), Some(left)) = (wanted.get(&begins.0), left.get_mut(&begins.0)) else { continue };
            // Monitors that are due are left, although they are packed.
            let mut known = monitors.minus(&self.due.of(span, begins.0, until.0));
            let is_begin = until.0 < span.end(begins).0;
            if is_begin && span.end(begins).0 <= self.until() {
                // In an hour that is over and has only its begin packed, monitors that are not due are left as well,
                // because the hour may have been summed up since.
                known = known.common(&self.due.of(span, begins.0, i64::MAX));
            }
            let bar = place(begins, self.edges);
            let taken = wanted.common(&known);
            let is_wanted = |id: i32| taken.contains(id.into());
            for arrival in content.arrivals.iter().filter(|it| is_wanted(it.monitor_id)) {
                self.arrived.add(arrival, bar);
            }
            for times in content.times.iter().filter(|it| is_wanted(it.monitor_id)) {
                self.arrived.answers(times.monitor_id).add_packed(times);
            }
            let before = left[0].1.clone();
            left[0].1 = before.minus(&known);
            if is_begin {
                left.push((until.0, before.minus(&left[0].1)));
            }
        }
        for parts in left.values_mut() {
            parts.retain(|(_, monitors)| !monitors.is_empty());
        }
        Ok(left)
    }

    /// Adds the summaries of an hour or a day that are not packed.
    fn rows(&mut self, span: Span, begins: i64, monitors: &Ranges) -> Result<(), StoreError> {
        if !monitors.is_empty() {
            let rows = summary_blocks::rows(self.connection, span, PgTimestamp(begins), monitors, None)?;
            self.add(&rows, begins);
        }
        Ok(())
    }

    /// Adds the results of an hour, for each monitor from its own time on and up to the last edge.
    fn results(&mut self, hour: i64, monitors: &[(i32, PgTimestamp)]) -> Result<(), StoreError> {
        if !monitors.is_empty() {
            let until = PgTimestamp(self.until().min(hour + HOUR));
            let rows = summary_blocks::results(self.connection, monitors, until, None)?;
            self.add(&rows, hour);
        }
        Ok(())
    }

    fn add(&mut self, rows: &[Summary], begins: i64) {
        let bar = place(PgTimestamp(begins), self.edges);
        for row in rows {
            self.arrived.add(&row.arrival, bar);
            if let Some(times) = row.times() {
                self.arrived.answers(times.monitor_id).add_packed(&times);
            }
        }
    }

    /// Returns the last edge.
    fn until(&self) -> i64 {
        pg_time(self.edges[self.edges.len() - 1]).0
    }
}
