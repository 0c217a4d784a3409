//! Sums of results by hour or day, and over a whole window with the response times of it.

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Timestamptz};
use jiff::Timestamp;

use super::super::tables::{pg_time, time};
use super::super::trouble::Trouble;
use super::percentiles::percentile;
use crate::figures::ResponseTimes;
use crate::figures::overview::{Period, Point};

/// What arrived in a bar.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct InBar {
    #[diesel(sql_type = Integer)]
    pub(super) monitor_id: i32,
    /// None: of all agents.
    #[diesel(sql_type = Nullable<Integer>)]
    pub(super) agent_id: Option<i32>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) since: PgTimestamp,
    #[diesel(sql_type = BigInt)]
    pub(super) checks: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) success: i64,
    #[diesel(sql_type = BigInt)]
    pub(super) agent_errors: i64,
}

/// How much arrived of a monitor from an agent.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub(super) struct Arrived {
    #[diesel(sql_type = Integer)]
    pub(super) monitor_id: i32,
    #[diesel(sql_type = Integer)]
    pub(super) agent_id: i32,
    #[diesel(sql_type = BigInt)]
    pub(super) checks: i64,
}

/// What arrived in a window, by monitor or by monitor and agent.
#[derive(Clone, Debug, QueryableByName)]
pub(super) struct InAll {
    #[diesel(sql_type = Integer)]
    pub(super) monitor_id: i32,
    /// None: of all agents.
    #[diesel(sql_type = Nullable<Integer>)]
    pub(super) agent_id: Option<i32>,
    #[diesel(sql_type = BigInt)]
    answered: i64,
    #[diesel(sql_type = Double)]
    sum_us: f64,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_us: Option<i64>,
    #[diesel(sql_type = Array<BigInt>)]
    response_times: Vec<i64>,
}

/// Whether agents stand apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agents {
    Together,
    Apart,
}

/// Of which window, of which monitors (none: of all), and whether agents stand apart.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) period: Period,
    pub(super) edges: &'a [Timestamp],
    pub(super) monitors: Option<&'a [i32]>,
    pub(super) agents: Agents,
}

impl Asked<'_> {
    /// The summaries that add up to the bars, and the name of their time.
    fn source(&self) -> (&'static str, &'static str) {
        match self.period {
            Period::Day => ("checks_by_hour", "hour"),
            Period::Month | Period::Quarter => ("checks_by_day", "day"),
        }
    }

    fn agent(&self) -> &'static str {
        match self.agents {
            Agents::Together => "null::integer",
            Agents::Apart => "s.agent_id",
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
        let ((source, begin), agent) = (self.source(), self.agent());
        let query = format!(
            "select s.monitor_id, {agent} as agent_id, s.{begin} as since, sum(s.checks) as checks,
                    sum(s.success) as success, sum(s.agent_error) as agent_errors
             from {source}($1, $2, $3) s group by 1, 2, 3"
        );
        self.load(query, connection)
    }

    /// How much arrived of each monitor from each agent in the whole window.
    pub(super) fn arrived(&self, connection: &mut PgConnection) -> Result<Vec<Arrived>, Trouble> {
        let (source, _) = self.source();
        let query = format!(
            "select s.monitor_id, s.agent_id, sum(s.checks) as checks from {source}($1, $2, $3) s group by 1, 2"
        );
        self.load(query, connection)
    }

    /// What arrived in the whole window, with how long answers took.
    pub(super) fn all(&self, connection: &mut PgConnection) -> Result<Vec<InAll>, Trouble> {
        let ((source, _), agent) = (self.source(), self.agent());
        let query = format!(
            "select s.monitor_id, {agent} as agent_id, {}
             from {source}($1, $2, $3) s group by 1, 2",
            histogram()
        );
        self.load(query, connection)
    }

    /// Response times by bar, over all the monitors together.
    pub(super) fn series(&self, connection: &mut PgConnection) -> Result<Vec<Point>, Trouble> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Timestamptz)]
            since: PgTimestamp,
            #[diesel(sql_type = Nullable<BigInt>)]
            max_us: Option<i64>,
            #[diesel(sql_type = Array<BigInt>)]
            response_times: Vec<i64>,
        }
        let (source, begin) = self.source();
        let query =
            format!("select s.{begin} as since, {} from {source}($1, $2, $3) s group by 1 order by 1", histogram());
        let rows: Vec<Row> = self.load(query, connection)?;
        let point = |row: &Row| {
            let of = |fraction| percentile(&row.response_times, row.max_us, fraction);
            Some(Point { since: time(row.since), p50_us: of(0.5)?, p95_us: of(0.95)?, phases_us: None })
        };
        Ok(rows.iter().filter_map(point).collect())
    }
}

/// The columns of response times, added up.
fn histogram() -> String {
    let sums: Vec<_> = (1..=24).map(|n| format!("sum(s.response_times[{n}])")).collect();
    format!(
        "sum(s.answered) as answered, sum(s.response_time_sum_us)::double precision as sum_us,
         max(s.response_time_max_us) as max_us, array[{}] as response_times",
        sums.join(", ")
    )
}

impl InAll {
    /// How long answers took.
    #[allow(clippy::cast_precision_loss)] // counts of checks
    pub(super) fn times(&self) -> ResponseTimes {
        let of = |fraction| percentile(&self.response_times, self.max_us, fraction);
        ResponseTimes {
            answered: self.answered,
            mean_us: (self.answered > 0).then(|| self.sum_us / self.answered as f64),
            p50_us: of(0.5),
            p95_us: of(0.95),
            p99_us: of(0.99),
            max_us: self.max_us,
        }
    }

    /// Adds what another definition of the same monitor has.
    pub(super) fn add(&mut self, other: &InAll) {
        self.answered += other.answered;
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
        self.response_times.iter_mut().zip(&other.response_times).for_each(|(sum, more)| *sum += more);
    }
}
