//! Sums of results: by hour or day, and by agent with the response times.
//!
//! Of all monitors the database adds up, in two passes. Of one monitor it hands out what it has by bar and agent, in a
//! single pass: the rest is added up here.

use std::ops::AddAssign;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Timestamptz};
use jiff::Timestamp;

use super::super::tables::{pg_time, time};
use super::super::trouble::Trouble;
use super::percentiles::percentile;
use crate::figures::ResponseTimes;
use crate::figures::counts::Counts;
use crate::figures::overview::Period;

/// What arrived of a monitor in a bar.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct InBar {
    #[diesel(sql_type = Integer)]
    pub(super) monitor_id: i32,
    #[diesel(sql_type = Timestamptz)]
    pub(super) since: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    checks: i64,
    #[diesel(sql_type = BigInt)]
    success: i64,
    #[diesel(sql_type = BigInt)]
    agent_errors: i64,
}

/// What arrived of a monitor from an agent.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct ByAgent {
    #[diesel(sql_type = Integer)]
    pub(super) monitor_id: i32,
    #[diesel(sql_type = Integer)]
    pub(super) agent_id: i32,
    #[diesel(sql_type = BigInt)]
    pub(super) checks: i64,
    #[diesel(embed)]
    pub(super) answers: Answers,
}

/// How long answers took.
#[derive(Clone, Debug, Default, QueryableByName)]
pub(super) struct Answers {
    #[diesel(sql_type = BigInt)]
    answered: i64,
    #[diesel(sql_type = Double)]
    sum_us: f64,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_us: Option<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    response_times: Vec<i64>,
}

/// What arrived of a monitor from an agent in a bar.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct Cell {
    #[diesel(embed)]
    pub(super) bar: InBar,
    #[diesel(sql_type = Integer)]
    pub(super) agent_id: i32,
    #[diesel(embed)]
    pub(super) answers: Answers,
}

/// Of which window, of all monitors or of some.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) period: Period,
    pub(super) edges: &'a [Timestamp],
    pub(super) monitors: Option<&'a [i32]>,
}

impl Asked<'_> {
    /// The summaries that add up to the bars, and the name of their time.
    fn source(&self) -> (&'static str, &'static str) {
        match self.period {
            Period::Day => ("checks_by_hour", "hour"),
            Period::Month | Period::Quarter => ("checks_by_day", "day"),
        }
    }

    fn load<T>(&self, query: String, connection: &mut PgConnection) -> Result<Vec<T>, Trouble>
    where
        T: diesel::deserialize::QueryableByName<diesel::pg::Pg> + 'static,
    {
        let (since, until) = (self.edges[0], self.edges[self.edges.len() - 1]);
        Ok(sql_query(query)
            .bind::<Timestamptz, _>(pg_time(since))
            .bind::<Timestamptz, _>(pg_time(until))
            .bind::<Nullable<Array<Integer>>, _>(self.monitors)
            .load(connection)?)
    }

    /// What arrived in each bar that has something.
    pub(super) fn bars(&self, connection: &mut PgConnection) -> Result<Vec<InBar>, Trouble> {
        let (source, begin) = self.source();
        let query = format!(
            "select s.monitor_id, s.{begin} as since, sum(s.checks) as checks, sum(s.success) as success,
                    sum(s.agent_error) as agent_errors
             from {source}($1, $2, $3) s group by 1, 2"
        );
        self.load(query, connection)
    }

    /// What arrived from each agent that sent something.
    pub(super) fn by_agent(&self, connection: &mut PgConnection) -> Result<Vec<ByAgent>, Trouble> {
        let (source, _) = self.source();
        let sums: Vec<_> = (1..=24).map(|n| format!("sum(s.response_times[{n}])")).collect();
        let query = format!(
            "select s.monitor_id, s.agent_id, sum(s.checks) as checks, sum(s.answered) as answered,
                    sum(s.response_time_sum_us)::double precision as sum_us, max(s.response_time_max_us) as max_us,
                    array[{}] as response_times
             from {source}($1, $2, $3) s group by 1, 2",
            sums.join(", ")
        );
        self.load(query, connection)
    }

    /// What arrived from each agent in each bar.
    pub(super) fn cells(&self, connection: &mut PgConnection) -> Result<Vec<Cell>, Trouble> {
        let (source, begin) = self.source();
        let query = format!(
            "select s.monitor_id, s.agent_id, s.{begin} as since, s.checks::bigint as checks,
                    s.success::bigint as success, s.agent_error::bigint as agent_errors, s.answered::bigint as answered,
                    s.response_time_sum_us::double precision as sum_us, s.response_time_max_us as max_us,
                    s.response_times::bigint[] as response_times
             from {source}($1, $2, $3) s"
        );
        self.load(query, connection)
    }
}

impl InBar {
    pub(super) fn counts(&self) -> Counts {
        Counts { checks: self.checks, success: self.success, agent_errors: self.agent_errors, unseen: 0 }
    }

    /// Which bar it is.
    pub(super) fn place(&self, edges: &[Timestamp]) -> usize {
        let since = time(self.since);
        edges.partition_point(|edge| *edge <= since).saturating_sub(1).min(edges.len() - 2)
    }
}

impl Cell {
    /// The same without its bar.
    pub(super) fn by_agent(&self) -> ByAgent {
        ByAgent {
            monitor_id: self.bar.monitor_id,
            agent_id: self.agent_id,
            checks: self.bar.checks,
            answers: self.answers.clone(),
        }
    }
}

impl AddAssign<&Answers> for Answers {
    fn add_assign(&mut self, other: &Answers) {
        self.answered += other.answered;
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
        self.response_times.resize(other.response_times.len().max(self.response_times.len()), 0);
        self.response_times.iter_mut().zip(&other.response_times).for_each(|(sum, more)| *sum += more);
    }
}

impl Answers {
    pub(super) fn percentile(&self, fraction: f64) -> Option<f64> {
        percentile(&self.response_times, self.max_us, fraction)
    }

    #[allow(clippy::cast_precision_loss)] // counts of checks
    pub(super) fn times(&self) -> ResponseTimes {
        ResponseTimes {
            answered: self.answered,
            mean_us: (self.answered > 0).then(|| self.sum_us / self.answered as f64),
            p50_us: self.percentile(0.5),
            p95_us: self.percentile(0.95),
            p99_us: self.percentile(0.99),
            max_us: self.max_us,
        }
    }
}
