//! What arrived: of each monitor from each agent, by hour or day, with the response times.
//!
//! Of all monitors the database adds up the response times over the window, in one pass. Of one monitor it hands out what
//! it has of each bar.

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
use crate::figures::period::Period;

/// What arrived of a monitor from an agent.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct Arrived {
    #[diesel(sql_type = Integer)]
    pub(super) monitor_id: i32,
    #[diesel(sql_type = Integer)]
    pub(super) agent_id: i32,
    /// The begins of the bars that have something; beside each, in what follows, how much.
    #[diesel(sql_type = Array<Timestamptz>)]
    since: Vec<PgTimestamp>,
    #[diesel(sql_type = Array<Integer>)]
    checks: Vec<i32>,
    #[diesel(sql_type = Array<Integer>)]
    success: Vec<i32>,
    #[diesel(sql_type = Array<Integer>)]
    agent_errors: Vec<i32>,
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

    /// What arrived in the whole window.
    pub(super) fn all(&self, connection: &mut PgConnection) -> Result<Vec<Arrived>, Trouble> {
        let (source, begin) = self.source();
        let sums: Vec<_> = (1..=24).map(|n| format!("sum(s.response_times[{n}])")).collect();
        self.load(
            format!(
                "select s.monitor_id, s.agent_id, array_agg(s.{begin}) as since, array_agg(s.checks) as checks,
                        array_agg(s.success) as success, array_agg(s.agent_error) as agent_errors,
                        sum(s.answered) as answered, sum(s.response_time_sum_us)::double precision as sum_us,
                        max(s.response_time_max_us) as max_us, array[{}] as response_times
                 from {source}($1, $2, $3) s group by 1, 2",
                sums.join(", ")
            ),
            connection,
        )
    }

    /// What arrived in each bar on its own.
    pub(super) fn by_bar(&self, connection: &mut PgConnection) -> Result<Vec<Arrived>, Trouble> {
        let (source, begin) = self.source();
        self.load(
            format!(
                "select s.monitor_id, s.agent_id, array[s.{begin}] as since, array[s.checks] as checks,
                        array[s.success] as success, array[s.agent_error] as agent_errors,
                        s.answered::bigint as answered, s.response_time_sum_us::double precision as sum_us,
                        s.response_time_max_us as max_us, s.response_times::bigint[] as response_times
                 from {source}($1, $2, $3) s"
            ),
            connection,
        )
    }

    fn load(&self, query: String, connection: &mut PgConnection) -> Result<Vec<Arrived>, Trouble> {
        let (since, until) = (self.edges[0], self.edges[self.edges.len() - 1]);
        Ok(sql_query(query)
            .bind::<Timestamptz, _>(pg_time(since))
            .bind::<Timestamptz, _>(pg_time(until))
            .bind::<Nullable<Array<Integer>>, _>(self.monitors)
            .load(connection)?)
    }
}

impl Arrived {
    /// How much in which bar, by its begin.
    pub(super) fn bars(&self) -> impl Iterator<Item = (PgTimestamp, Counts)> {
        let counts = self.checks.iter().zip(&self.success).zip(&self.agent_errors);
        self.since.iter().zip(counts).map(|(since, ((checks, success), agent_errors))| {
            let (checks, success, agent_errors) = ((*checks).into(), (*success).into(), (*agent_errors).into());
            (*since, Counts { checks, success, agent_errors, unseen: 0 })
        })
    }
}

/// Which bar that begin is of.
pub(super) fn place(since: PgTimestamp, edges: &[Timestamp]) -> usize {
    let since = time(since);
    edges.partition_point(|edge| *edge <= since).saturating_sub(1).min(edges.len() - 2)
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
