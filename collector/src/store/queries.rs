//! Reads what people are shown: an overview of all monitors, the details of one monitor, its results, the agents, and
//! how many alerts there are. All that one call reads is of one moment.
//!
//! The database adds up. The module `figures` says what the sums mean.

pub(super) mod agents;
mod alerts;
mod detail;
mod due;
mod history;
mod latest;
pub(super) mod observations;
mod overview;
mod results;
pub(super) mod schedules;

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text};
use jiff::{SignedDuration, Timestamp};

use super::db::connections::Connections;
use super::db::error::StoreError;
use super::db::migrate;
use super::db::time::now;
use crate::config::Database;
use crate::figures::agent::AgentRow;
use crate::figures::alerts::AlertCounts;
use crate::figures::detail::{Detail, ResultRow};
use crate::figures::looks::clock;
use crate::figures::overview::Overview;
use crate::figures::period::Period;
use crate::figures::source::Source;
use crate::unavailable::Unavailable;

/// Reads from the tables what people are shown.
pub struct Reader {
    pub(crate) connections: Connections,
    pub(crate) schema: String,
}

impl Reader {
    /// Creates a reader that connects when it first needs to.
    pub fn new(database: &Database) -> Reader {
        Reader { connections: Connections::new(database), schema: database.schema.clone() }
    }
}

impl Source for Reader {
    fn overview(&self, period: Period) -> Result<Overview, Unavailable> {
        self.read(|connection, now| overview::read(connection, period, now))
    }

    fn detail(&self, id: &str, period: Period) -> Result<Option<Detail>, Unavailable> {
        self.read(|connection, now| detail::read(connection, id, period, now))
    }

    fn results(&self, id: &str, before: Timestamp, most: usize) -> Result<Option<Vec<ResultRow>>, Unavailable> {
        self.read(|connection, _| {
            let names = Names::of(connection, Some(id))?;
            let there = !names.monitors.is_empty();
            there.then(|| results::read(connection, &names.monitor_ids(), before, most)).transpose()
        })
    }

    fn agents(&self) -> Result<Vec<AgentRow>, Unavailable> {
        self.read(agents::read)
    }

    fn alerts(&self) -> Result<AlertCounts, Unavailable> {
        self.read(alerts::read)
    }

    fn answers(&self) -> Result<(), Unavailable> {
        self.read(|connection, _| migrate::check(connection, &self.schema))
    }
}

impl Reader {
    /// Calls `read` in one transaction, so all that it reads is of one moment. `read` gets this moment by the
    /// database's clock, because the times that are compared with it are by that clock, too.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut PgConnection, Timestamp) -> Result<T, StoreError>,
    ) -> Result<T, Unavailable> {
        let mut session = self.connections.get()?;
        session.check_once(|connection| migrate::check(connection, &self.schema))?;
        let mut transaction = session.build_transaction().repeatable_read().read_only();
        let outcome = transaction.run(|connection| {
            // The just-in-time compiler takes longer than the queries, and sums of long windows need memory. Every
            // client that asked has gone before the statement timeout.
            connection.batch_execute(
                "set local jit = off; set local work_mem = '32MB'; set local statement_timeout = '60s'",
            )?;
            let now = now(connection)?;
            read(connection, now)
        });
        Ok(session.judge(outcome)?)
    }
}

/// A definition of a monitor.
#[derive(Clone, Debug, QueryableByName)]
pub(crate) struct Definition {
    #[diesel(sql_type = Integer)]
    pub(crate) monitor_id: i32,
    #[diesel(sql_type = Text)]
    pub(crate) id: String,
    #[diesel(sql_type = Text)]
    pub(crate) name: String,
    #[diesel(sql_type = Text)]
    pub(crate) url: String,
}

/// The agents and the monitors of the database.
pub(crate) struct Names {
    pub(crate) agents: BTreeMap<i32, String>,
    /// How far the clock of each agent is behind the database's clock.
    clocks: BTreeMap<i32, SignedDuration>,
    pub(crate) monitors: Vec<Definition>,
}

impl Names {
    /// Reads all agents, and all monitors or only the monitors with this id.
    pub(crate) fn of(connection: &mut PgConnection, id: Option<&str>) -> Result<Names, StoreError> {
        #[derive(QueryableByName)]
        struct Agent {
            #[diesel(sql_type = Integer)]
            agent_id: i32,
            #[diesel(sql_type = Text)]
            name: String,
            #[diesel(sql_type = BigInt)]
            clock_behind_us: i64,
        }
        let agents: Vec<Agent> = sql_query("select agent_id, name, clock_behind_us from agents").load(connection)?;
        let monitors = sql_query("select monitor_id, id, name, url from monitors where $1 or id = any($2)")
            .bind::<Bool, _>(id.is_none())
            .bind::<Array<Text>, _>(id.as_slice())
            .load(connection)?;
        let clock = |it: &Agent| (it.agent_id, clock::regarded(SignedDuration::from_micros(it.clock_behind_us)));
        Ok(Names {
            clocks: agents.iter().map(clock).collect(),
            agents: agents.into_iter().map(|agent| (agent.agent_id, agent.name)).collect(),
            monitors,
        })
    }

    pub(crate) fn monitor_ids(&self) -> Vec<i32> {
        self.monitors.iter().map(|monitor| monitor.monitor_id).collect()
    }

    pub(crate) fn agent(&self, agent_id: i32) -> String {
        self.agents.get(&agent_id).cloned().unwrap_or_default()
    }

    /// Returns how far the agent's clock is behind. The agent's results are dated this much earlier than they were
    /// made.
    pub(crate) fn clock_behind(&self, agent_id: i32) -> SignedDuration {
        self.clocks.get(&agent_id).copied().unwrap_or_default()
    }
}
