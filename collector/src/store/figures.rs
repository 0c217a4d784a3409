//! Reads the figures of monitors, all of one moment. The work is done by the functions of the tables, which readers
//! have, too.

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::SimpleConnection;
use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, SmallInt, Text, Timestamptz};

use super::connect::Connections;
use super::tables::{pg_time, time};
use super::trouble::Trouble;
use super::{Unavailable, migrate};
use crate::config::Database;
use crate::figures::{Figures, Outage, Query, ResponseTimes, Window};

#[derive(QueryableByName)]
struct Agent {
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Monitor {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    url: String,
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

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Integer)]
    agent_id: i32,
    #[diesel(sql_type = Text)]
    monitor: String,
    #[diesel(sql_type = BigInt)]
    due: i64,
}

#[derive(QueryableByName)]
struct OutageRow {
    #[diesel(sql_type = Integer)]
    monitor_id: i32,
    #[diesel(sql_type = Integer)]
    agent_id: i32,
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

    /// The figures that a query asks for, by monitors' ids.
    ///
    /// # Errors
    /// Why the database can't be read.
    pub fn figures(&self, query: &Query) -> Result<Vec<Figures>, Unavailable> {
        let mut session = self.connections.get()?;
        migrate::check(&mut session, &self.schema)?;
        let mut transaction = session.build_transaction().repeatable_read().read_only();
        let read = transaction.run(|connection| Read::of(connection, query));
        Ok(session.judge(read)?.figures(query.by_agent))
    }
}

/// What the tables say.
struct Read {
    agents: BTreeMap<i32, String>,
    monitors: BTreeMap<i32, Monitor>,
    uptimes: Vec<Uptime>,
    arrived: Vec<Arrived>,
    due: Vec<Due>,
    outages: Vec<OutageRow>,
}

impl Read {
    fn of(connection: &mut PgConnection, query: &Query) -> Result<Read, Trouble> {
        connection.batch_execute("set local jit = off")?;
        let agents: Vec<Agent> = sql_query("select agent_id, name from agents where $1 or name = any($2)")
            .bind::<Bool, _>(query.agents.is_empty())
            .bind::<Array<Text>, _>(&query.agents)
            .load(connection)?;
        let monitors: Vec<Monitor> =
            sql_query("select monitor_id, id, name, url from monitors where $1 or id = any($2)")
                .bind::<Bool, _>(query.monitors.is_empty())
                .bind::<Array<Text>, _>(&query.monitors)
                .load(connection)?;
        let agents: BTreeMap<i32, String> = agents.into_iter().map(|agent| (agent.agent_id, agent.name)).collect();
        let monitors: BTreeMap<i32, Monitor> = monitors.into_iter().map(|it| (it.monitor_id, it)).collect();
        // Null, of which there is no doubt that it means all, is the cheapest.
        let agent_ids: Option<Vec<i32>> = (!query.agents.is_empty()).then(|| agents.keys().copied().collect());
        let monitor_ids: Option<Vec<i32>> = (!query.monitors.is_empty()).then(|| monitors.keys().copied().collect());
        let Window { since, until } = query.window;
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
        let due = sql_query(
            "select agent_id, monitor, due
             from results_due($1, $2) where ($3 is null or agent_id = any($3)) and ($4 or monitor = any($5))",
        )
        .bind::<Timestamptz, _>(since)
        .bind::<Timestamptz, _>(until)
        .bind::<Nullable<Array<Integer>>, _>(&agent_ids)
        .bind::<Bool, _>(query.monitors.is_empty())
        .bind::<Array<Text>, _>(&query.monitors)
        .load(connection)?;
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
                figures.outages.push(outage(row, agent));
            }
        }
        let coverage = Coverage::new(&monitors, &arrived, due);
        for (&(monitor_id, agent_id), figures) in &mut figures {
            (figures.arrived, figures.due) = coverage.of(monitor_id, agent_id);
        }
        let mut figures: Vec<Figures> = figures.into_values().collect();
        coverage.add_unseen(&mut figures, &agents, by_agent);
        figures.sort_by(|one, other| {
            (&one.monitor, &one.url, &one.agent).cmp(&(&other.monitor, &other.url, &other.agent))
        });
        figures
    }
}

fn of_monitor(monitor: &Monitor, agent: Option<String>, row: &Uptime) -> Figures {
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

fn outage(row: OutageRow, agent: String) -> Outage {
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

/// What arrived of what was due. Agents know a monitor by its id; what it then checked may have changed.
struct Coverage<'a> {
    monitors: &'a BTreeMap<i32, Monitor>,
    /// The agents that checked a monitor.
    checked_by: BTreeMap<i32, BTreeSet<i32>>,
    arrived: BTreeMap<(i32, &'a str), i64>,
    due: BTreeMap<(i32, String), i64>,
}

impl<'a> Coverage<'a> {
    fn new(monitors: &'a BTreeMap<i32, Monitor>, rows: &[Arrived], due: Vec<Due>) -> Coverage<'a> {
        let mut checked_by: BTreeMap<i32, BTreeSet<i32>> = BTreeMap::new();
        let mut arrived = BTreeMap::new();
        for row in rows {
            checked_by.entry(row.monitor_id).or_default().insert(row.agent_id);
            if let Some(monitor) = monitors.get(&row.monitor_id) {
                *arrived.entry((row.agent_id, monitor.id.as_str())).or_default() += row.checks;
            }
        }
        let due = due.into_iter().map(|row| ((row.agent_id, row.monitor), row.due)).collect();
        Coverage { monitors, checked_by, arrived, due }
    }

    /// Arrived and due, of one agent or of all that checked the monitor.
    fn of(&self, monitor_id: i32, agent_id: Option<i32>) -> (i64, i64) {
        let Some(monitor) = self.monitors.get(&monitor_id) else { return (0, 0) };
        let all = self.checked_by.get(&monitor_id);
        let agents = all.into_iter().flatten().filter(|id| agent_id.is_none_or(|wanted| wanted == **id));
        agents.fold((0, 0), |(arrived, due), &agent| {
            let more = self.arrived.get(&(agent, monitor.id.as_str())).copied().unwrap_or(0);
            (arrived + more, due + self.due.get(&(agent, monitor.id.clone())).copied().unwrap_or(0))
        })
    }

    /// Adds what was due and of which an agent sent nothing: to the one row of that monitor, where there is one of all
    /// agents, else as a row of its own.
    fn add_unseen(&self, figures: &mut Vec<Figures>, agents: &BTreeMap<i32, String>, by_agent: bool) {
        let arrived = &self.arrived;
        let is_unseen = |(agent, monitor): &(i32, String)| !arrived.contains_key(&(*agent, monitor.as_str()));
        for ((agent_id, monitor), &due) in self.due.iter().filter(|(key, due)| **due > 0 && is_unseen(key)) {
            let mut rows = figures.iter_mut().filter(|row| row.monitor == *monitor);
            match (by_agent, rows.next(), rows.next()) {
                (false, Some(only), None) => only.due += due,
                _ => figures.push(Figures {
                    monitor: monitor.clone(),
                    agent: agents.get(agent_id).cloned(),
                    due,
                    ..Figures::default()
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(monitors: &[(i32, &str)], arrived: &[(i32, i32, i64)], due: &[(i32, &str, i64)]) -> Read {
        let agents = [(1, "edge-1".into()), (2, "edge-2".into())].into();
        let monitor = |&(monitor_id, id): &(i32, &str)| {
            (monitor_id, Monitor { monitor_id, id: id.into(), name: id.into(), url: format!("http://{monitor_id}/") })
        };
        let arrived = arrived.iter().map(|&(monitor_id, agent_id, checks)| Arrived { monitor_id, agent_id, checks });
        let due = due.iter().map(|&(agent_id, monitor, due)| Due { agent_id, monitor: monitor.into(), due });
        let (arrived, due) = (arrived.collect(), due.collect());
        let monitors = monitors.iter().map(monitor).collect();
        Read { agents, monitors, uptimes: Vec::new(), arrived, due, outages: Vec::new() }
    }

    fn with_uptimes(mut read: Read, rows: &[(i32, Option<i32>)]) -> Vec<Figures> {
        read.uptimes = rows
            .iter()
            .map(|&(monitor_id, agent_id)| Uptime {
                monitor_id,
                agent_id,
                checks: 1,
                success: 1,
                agent_error: 0,
                answered: 0,
                mean_us: None,
                p50_us: None,
                p95_us: None,
                p99_us: None,
                max_us: None,
            })
            .collect();
        let by_agent = rows.iter().any(|(_, agent_id)| agent_id.is_some());
        read.figures(by_agent)
    }

    fn coverage(figures: &[Figures]) -> Vec<(&str, Option<&str>, i64, i64)> {
        figures.iter().map(|of| (&*of.monitor, of.agent.as_deref(), of.arrived, of.due)).collect()
    }

    #[test]
    fn an_agent_of_which_nothing_arrived_lowers_the_coverage_of_all() {
        let read = || read(&[(7, "shop")], &[(7, 1, 9)], &[(1, "shop", 10), (2, "shop", 10)]);
        assert_eq!(coverage(&with_uptimes(read(), &[(7, None)])), [("shop", None, 9, 20)]);
        let apart = with_uptimes(read(), &[(7, Some(1))]);
        assert_eq!(coverage(&apart), [("shop", Some("edge-2"), 0, 10), ("shop", Some("edge-1"), 9, 10)]);
    }

    #[test]
    fn a_monitor_that_changed_is_covered_by_what_arrived_before_and_after() {
        let read = read(&[(7, "shop"), (8, "shop")], &[(7, 1, 4), (8, 1, 5)], &[(1, "shop", 10)]);
        let both = with_uptimes(read, &[(7, None), (8, None)]);
        assert_eq!(coverage(&both), [("shop", None, 9, 10), ("shop", None, 9, 10)]);
    }

    #[test]
    fn what_was_due_and_never_seen_has_a_row_of_its_own() {
        let read = read(&[(7, "shop")], &[(7, 1, 10)], &[(1, "shop", 10), (2, "mail", 6)]);
        assert_eq!(
            coverage(&with_uptimes(read, &[(7, None)])),
            [("mail", Some("edge-2"), 0, 6), ("shop", None, 10, 10)]
        );
    }
}
