//! Reads the figures of monitors in any window, all of one moment. The figures come from the same sums of the database,
//! the same schedules and the same rules as those of the pages.

mod monitor;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use jiff::Timestamp;

use monitor::{Monitor, Sum};

use super::{bars, outages};
use crate::figures::{Answer, Figures, NoWindow, Query, Window, period};
use crate::store::db::error::StoreError;
use crate::store::db::migrate;
use crate::store::db::time::now;
use crate::store::queries::{Names, Reader, schedules};
use crate::unavailable::Unavailable;

impl Reader {
    /// Returns the figures that a query asks for, up to now by the database's clock at the latest, or the reason why
    /// there is no such window.
    ///
    /// # Errors
    /// Returns why the database can't be read.
    pub fn figures(&self, query: &Query) -> Result<Result<Answer, NoWindow>, Unavailable> {
        let mut session = self.connections.get()?;
        migrate::check(&mut session, &self.schema)?;
        let mut transaction = session.build_transaction().repeatable_read().read_only();
        let read = transaction.run(|connection| {
            connection.batch_execute("set local jit = off")?;
            let now = now(connection)?;
            Ok::<_, StoreError>(match query.window(now) {
                Ok(window) => Ok(read(connection, query, window, now)?),
                Err(none) => Err(none),
            })
        });
        Ok(session.judge(read)?)
    }
}

fn read(connection: &mut PgConnection, query: &Query, window: Window, now: Timestamp) -> Result<Answer, StoreError> {
    let (grain, edges) = period::bars(window);
    let as_of = query.until.map_or(now, |until| until.min(now));
    let is_wanted = |id: &String| query.monitors.is_empty() || query.monitors.contains(id);
    let mut names = Names::of(connection, None)?;
    names.monitors.retain(|it| is_wanted(&it.id));
    let mut schedules = schedules::read(connection, window.since, now, None)?;
    schedules.retain(|id, _| is_wanted(id));
    let arrived = bars::read(connection, grain, &edges, &names.monitor_ids())?;
    let outages = outages::read(connection, &names, &schedules, Window { until: as_of, ..window })?;
    let mut monitors = Monitor::all(&names, &schedules, &arrived, &edges);
    for seen in outages {
        monitors.entry(seen.monitor).or_default().outages.push((seen.agent_id, seen.outage));
    }
    let is_asked_for = |agent_id: i32| query.agents.is_empty() || query.agents.contains(&names.agent(agent_id));
    let mut figures = Vec::new();
    for (id, monitor) in &monitors {
        let agents: Vec<i32> = monitor.agents().into_iter().filter(|agent_id| is_asked_for(*agent_id)).collect();
        if query.by_agent {
            figures.extend(agents.iter().map(|agent_id| Figures {
                agent: Some(names.agent(*agent_id)),
                ..monitor.figures(id, &[*agent_id], Sum::default(), &edges)
            }));
        } else {
            // Results that no single agent owes are missing to all agents together.
            let unowned = if query.agents.is_empty() { monitor.unowned(&edges) } else { Sum::default() };
            figures.push(monitor.figures(id, &agents, unowned, &edges));
        }
    }
    figures.retain(|figures| !figures.is_empty());
    figures.sort_by(|one, other| (&one.monitor, &one.agent).cmp(&(&other.monitor, &other.agent)));
    Ok(Answer { window, as_of, figures })
}
