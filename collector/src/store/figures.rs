//! Reads the figures of monitors, all of one moment. The work is done by the functions of the tables, which readers
//! have, too.

mod coverage;

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamptz};

use coverage::Coverage;

use super::connect::Connections;
use super::seen::{Definition, schedules};
use super::tables::{now, pg_time, time};
use super::trouble::Trouble;
use super::{Unavailable, migrate};
use crate::config::Database;
use crate::figures::{Answer, Figures, NoWindow, Outage, Query, ResponseTimes, Window};

#[derive(QueryableByName)]
struct Agent {
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Uptime {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    agent_id: Option<i32>,
    #[diesel(sql_type = BigInt)]
    checks: i64,
    #[diesel(sql_type = BigInt)]
    success: i64,
    #[diesel(sql_type = BigInt)]
    agent_error: i64,
    #[diesel(sql_type = BigInt)]
    answered: i64,
    #[diesel(sql_type = Nullable<Double>)]
    mean_us: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    p50_us: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    p95_us: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    p99_us: Option<f64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_us: Option<i64>,
}

#[derive(QueryableByName)]
struct Arrived {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = BigInt)]
    checks: i64,
}

struct Due {
    /// None: nobody's, when no agent looked though one had before.
    agent_id: Option<i32>,
    monitor: String,
    due: i64,
}

#[derive(QueryableByName)]
pub(super) struct OutageRow {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = Integer)]
    pub(super) agent_id: i32,
    #[diesel(sql_type = Timestamptz)]
    began: PgTimestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended: Option<PgTimestamp>,
    #[diesel(sql_type = BigInt)]
    failures: i64,
    #[diesel(sql_type = Text)]
    outcome: String,
    #[diesel(sql_type = Nullable<SmallInt>)]
    status_code: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
}

/// Reads what people are told.
pub struct Reader {
    pub(super) connections: Connections,
    pub(super) schema: String,
}

impl Reader {
    /// A reader that connects when it first needs to.
    pub fn new(database: &Database) -> Reader {
        Reader { connections: Connections::new(database), schema: database.schema.clone() }
    }

    /// The figures that a query asks for, up to now by the database's clock at the latest; or why there is no such time.
    ///
    /// # Errors
    /// Why the database can't be read.
    pub fn figures(&self, query: &Query) -> Result<Result<Answer, NoWindow>, Unavailable> {
        let mut session = self.connections.get()?;
        migrate::check(&mut session, &self.schema)?;
        let mut transaction = session.build_transaction().repeatable_read().read_only();
        let read = transaction.run(|connection| {
            Ok::<_, Trouble>(match query.window(now(connection)?) {
                Ok(window) => Ok((window, Read::of(connection, query, window)?)),
                Err(none) => Err(none),
            })
        });
        let read = session.judge(read)?;
        Ok(read.map(|(window, read)| Answer { window, figures: read.figures(query.by_agent) }))
    }
}

/// What the agents that are asked for owe, and what nobody does where all are.
fn due(
    connection: &mut PgConnection,
    query: &Query,
    window: Window,
    agents: &BTreeMap<i32, String>,
) -> Result<Vec<Due>, Trouble> {
    let Window { since, until } = window;
    let schedules = schedules::read(connection, since, until, None)?;
    let is_asked_for = |monitor: &String| query.monitors.is_empty() || query.monitors.contains(monitor);
    let mut found = Vec::new();
    for (monitor, schedule) in schedules.into_iter().filter(|(monitor, _)| is_asked_for(monitor)) {
        let mut add = |agent_id, due| found.push(Due { agent_id, monitor: monitor.clone(), due });
        for (agent_id, due) in schedule.due(since, until).into_iter().filter(|(id, _)| agents.contains_key(id)) {
            add(Some(agent_id), due);
        }
        if query.agents.is_empty() && !query.by_agent {
            add(None, schedule.nobodys(since, until));
        }
    }
    Ok(found)
}

/// What the tables say.
struct Read {
    agents: BTreeMap<i32, String>,
    monitors: BTreeMap<i32, Definition>,
    uptimes: Vec<Uptime>,
    arrived: Vec<Arrived>,
    due: Vec<Due>,
    outages: Vec<OutageRow>,
}

impl Read {
    fn of(connection: &mut PgConnection, query: &Query, window: Window) -> Result<Read, Trouble> {
        connection.batch_execute("set local jit = off")?;
        let agents: Vec<Agent> = sql_query("select agent_id, name from agents where $1 or name = any($2)")
            .bind::<Bool, _>(query.agents.is_empty())
            .bind::<Array<Text>, _>(&query.agents)
            .load(connection)?;
        let monitors: Vec<Definition> =
            sql_query("select monitor_id, id, name, url from monitors where $1 or id = any($2)")
                .bind::<Bool, _>(query.monitors.is_empty())
                .bind::<Array<Text>, _>(&query.monitors)
                .load(connection)?;
        let agents: BTreeMap<i32, String> = agents.into_iter().map(|agent| (agent.agent_id, agent.name)).collect();
        let monitors: BTreeMap<i32, Definition> = monitors.into_iter().map(|it| (it.monitor_id, it)).collect();
        // Null, of which there is no doubt that it means all, is the cheapest.
        let agent_ids: Option<Vec<i32>> = (!query.agents.is_empty()).then(|| agents.keys().copied().collect());
        let monitor_ids: Option<Vec<i32>> = (!query.monitors.is_empty()).then(|| monitors.keys().copied().collect());
        let Window { since, until } = window;
        let (since, until) = (pg_time(since), pg_time(until));
        let uptimes: Vec<Uptime> = sql_query(
            "select monitor_id, agent_id, checks, success, agent_error, answered, mean_us, p50_us, p95_us, p99_us,
                    max_us
             from uptime($1, $2, $3, $4, $5)",
        )
        .bind::<Timestamptz, _>(since)
        .bind::<Timestamptz, _>(until)
        .bind::<Bool, _>(query.by_agent)
        .bind::<Nullable<Array<Integer>>, _>(&agent_ids)
        .bind::<Nullable<Array<Integer>>, _>(&monitor_ids)
        .load(connection)?;
        // What arrived from each agent is in those already where they are apart.
        let apart = |row: &Uptime| {
            row.agent_id.map(|agent_id| Arrived { monitor_id: row.monitor_id, agent_id, checks: row.checks })
        };
        let arrived = match query.by_agent {
            true => uptimes.iter().filter_map(apart).collect(),
            false => sql_query("select monitor_id, agent_id, checks from uptime($1, $2, true, $3, $4)")
                .bind::<Timestamptz, _>(since)
                .bind::<Timestamptz, _>(until)
                .bind::<Nullable<Array<Integer>>, _>(&agent_ids)
                .bind::<Nullable<Array<Integer>>, _>(&monitor_ids)
                .load(connection)?,
        };
        let due = due(connection, query, window, &agents)?;
        let outages = sql_query(
            "select monitor_id, agent_id, began, ended, failures, outcome, status_code, error
             from outages($1, $2, $3) where $4 is null or agent_id = any($4) order by began, agent_id",
        )
        .bind::<Timestamptz, _>(since)
        .bind::<Timestamptz, _>(until)
        .bind::<Nullable<Array<Integer>>, _>(&monitor_ids)
        .bind::<Nullable<Array<Integer>>, _>(&agent_ids)
        .load(connection)?;
        Ok(Read { agents, monitors, uptimes, arrived, due, outages })
    }

    fn figures(self, by_agent: bool) -> Vec<Figures> {
        let Read { agents, monitors, uptimes, arrived, due, outages } = self;
        let key = |monitor_id: i32, agent_id: i32| (monitor_id, by_agent.then_some(agent_id));
        let mut figures: BTreeMap<(i32, Option<i32>), Figures> = BTreeMap::new();
        for row in uptimes {
            if let Some(monitor) = monitors.get(&row.monitor_id) {
                let agent = row.agent_id.and_then(|id| agents.get(&id).cloned());
                figures.insert((row.monitor_id, row.agent_id), of_monitor(monitor, agent, &row));
            }
        }
        for row in outages {
            let agent = agents.get(&row.agent_id).cloned().unwrap_or_default();
            if let Some(figures) = figures.get_mut(&key(row.monitor_id, row.agent_id)) {
                figures.outages.push((agent, row).into());
            }
        }
        let coverage = Coverage::new(&monitors, &arrived, due);
        // Of a monitor that changed, what did not arrive is told once, with its latest definition: sums count it once.
        let mut told = BTreeSet::new();
        for (&(monitor_id, agent_id), figures) in figures.iter_mut().rev() {
            (figures.arrived, figures.due, figures.unseen) = coverage.of(monitor_id, agent_id);
            if !told.insert((figures.monitor.clone(), agent_id)) {
                figures.unseen = 0;
            }
        }
        let mut figures: Vec<Figures> = figures.into_values().collect();
        coverage.add_unseen(&mut figures, &agents, by_agent);
        figures.sort_by(|one, other| {
            (&one.monitor, &one.url, &one.agent).cmp(&(&other.monitor, &other.url, &other.agent))
        });
        figures
    }
}

fn of_monitor(monitor: &Definition, agent: Option<String>, row: &Uptime) -> Figures {
    Figures {
        monitor: monitor.id.clone(),
        name: Some(monitor.name.clone()),
        url: Some(monitor.url.clone()),
        agent,
        checks: row.checks,
        success: row.success,
        agent_errors: row.agent_error,
        response_times: ResponseTimes {
            answered: row.answered,
            mean_us: row.mean_us,
            p50_us: row.p50_us,
            p95_us: row.p95_us,
            p99_us: row.p99_us,
            max_us: row.max_us,
        },
        ..Figures::default()
    }
}

/// Of an agent, by its name.
impl From<(String, OutageRow)> for Outage {
    fn from((agent, row): (String, OutageRow)) -> Outage {
        Outage {
            agent,
            began: time(row.began),
            ended: row.ended.map(time),
            failures: row.failures,
            outcome: row.outcome,
            status_code: row.status_code,
            error: row.error,
        }
    }
}
