//! Reads the facts that the rules ask for, all of one moment. Only the last checks of each monitor are read: those of
//! the time for which its latest result counts, and of as many intervals as a rule wants failures in a row.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Double, Integer, Timestamptz};
use jiff::Timestamp;

use crate::alerts::{Facts, Monitor};
use crate::config::Alerts;
use crate::config::alerts::What;
use crate::figures::due::Schedule;
use crate::store::db::error::StoreError;
use crate::store::db::outcomes::ANSWERED;
use crate::store::db::time::{now, pg_time};
use crate::store::queries::observations;
use crate::store::queries::observations::Asked;
use crate::store::queries::{Definition, Names, agents, schedules};

/// The largest number of the latest answers of a monitor from which a percentile is computed.
const MOST_ANSWERS: i64 = 500;

/// Reads the facts that the rules ask for.
pub(crate) fn read(connection: &mut PgConnection, config: &Alerts) -> Result<Facts, StoreError> {
    let as_of = now(connection)?;
    let asks_of = |is_asked: fn(&What) -> bool| config.rules.iter().any(|rule| is_asked(&rule.what));
    let monitors = if asks_of(What::is_of_monitors) { monitors(connection, config, as_of)? } else { Vec::new() };
    let agents = if asks_of(What::is_of_agents) { agents::as_reported(connection, as_of)? } else { Vec::new() };
    Ok(Facts { as_of, heard_since: Timestamp::MIN, monitors, agents, kafka: None })
}

/// Reads the monitors that are in the configuration of some agent, even of an agent that has stopped.
fn monitors(connection: &mut PgConnection, config: &Alerts, now: Timestamp) -> Result<Vec<Monitor>, StoreError> {
    let names = Names::of(connection, None)?;
    let mut schedules = schedules::read(connection, now, now, None)?;
    schedules.retain(|_, schedule| !schedule.is_retired());
    let monitor = |(id, schedule): (&String, &Schedule)| {
        let monitor = Monitor { id: id.clone(), name: id.clone(), tags: schedule.tags(), ..Monitor::default() };
        (id.clone(), monitor)
    };
    let mut monitors: BTreeMap<String, Monitor> = schedules.iter().map(monitor).collect();
    let mut definitions: Vec<_> = names.monitors.iter().filter(|it| monitors.contains_key(&it.id)).collect();
    definitions.sort_by_key(|it| it.monitor_id);
    let checks = config.rules.iter().map(|rule| match rule.what {
        What::Down { checks, .. } => checks,
        _ => 0,
    });
    let asked = checks.max().filter(|checks| *checks > 0).map_or(Asked::Disputed, Asked::All);
    let latest = observations::latest(connection, &names, &schedules, &definitions, asked, now)?;
    let newest = observations::newest(&latest);
    for it in in_force(&definitions, &newest) {
        if let Some(monitor) = monitors.get_mut(&it.id) {
            (monitor.name, monitor.url) = (it.name.clone(), it.url.clone());
        }
    }
    for (id, observations) in observations::of_each(&latest, &names, &schedules, now) {
        if let Some(monitor) = monitors.get_mut(&id) {
            monitor.observations = observations;
        }
    }
    for rule in &config.rules {
        if let What::Slow { percentile, lasting, .. } = rule.what {
            // Only monitors that agents check now are read.
            let is_asked = |it: &&&Definition| {
                newest.contains_key(&it.monitor_id)
                    && monitors.get(&it.id).is_some_and(|of| rule.monitors.has(&it.id, &of.tags))
            };
            let asked: BTreeMap<i32, &str> =
                definitions.iter().filter(is_asked).map(|it| (it.monitor_id, it.id.as_str())).collect();
            for (monitor_id, us) in times(connection, &asked, percentile, lasting, now)? {
                if let Some(monitor) = asked.get(&monitor_id).and_then(|id| monitors.get_mut(*id)) {
                    let slowest = monitor.times_us.entry(rule.name.clone()).or_insert(us);
                    *slowest = us.max(*slowest);
                }
            }
        }
    }
    Ok(monitors.into_values().collect())
}

/// Returns for each monitor the definition of its newest result, because a url may change back. Where there is no
/// result, this is the definition that was made last. `newest` has the times of the newest results by definition.
/// `definitions` are in the order in which they were made.
fn in_force<'a>(definitions: &[&'a Definition], newest: &BTreeMap<i32, i64>) -> Vec<&'a Definition> {
    let mut by_id: BTreeMap<&str, &Definition> = BTreeMap::new();
    let rank = |it: &Definition| newest.get(&it.monitor_id);
    for it in definitions {
        let known = by_id.entry(&it.id).or_insert(it);
        if rank(it) >= rank(known) {
            *known = it;
        }
    }
    by_id.into_values().collect()
}

/// Returns the time within which this percentage of the latest answers of some monitors came, in microseconds.
fn times(
    connection: &mut PgConnection,
    monitors: &BTreeMap<i32, &str>,
    percentile: u8,
    lasting: Duration,
    now: Timestamp,
) -> Result<Vec<(i32, i64)>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        monitor_id: i32,
        #[diesel(sql_type = BigInt)]
        us: i64,
    }
    let rows: Vec<Row> = sql_query(format!(
        "select p.monitor_id, l.us from unnest($1) p(monitor_id)
         cross join lateral (
             select percentile_disc($2) within group (order by a.response_time_us) as us
             from (
                 select r.response_time_us from results r
                 where r.monitor_id = p.monitor_id and r.checked_at >= $3 and r.response_time_us is not null
                   and r.outcome in {ANSWERED}
                 order by r.checked_at desc limit $4
             ) a
         ) l
         where l.us is not null order by p.monitor_id"
    ))
    .bind::<Array<Integer>, _>(monitors.keys().copied().collect::<Vec<_>>())
    .bind::<Double, _>(f64::from(percentile) / 100.0)
    .bind::<Timestamptz, _>(pg_time(now.checked_sub(lasting).unwrap_or(now)))
    .bind::<BigInt, _>(MOST_ANSWERS)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.monitor_id, row.us)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_changed_back_is_in_force_again() {
        let definition =
            |monitor_id, id: &str| Definition { monitor_id, id: id.into(), name: "".into(), url: "".into() };
        let (shop, changed, other) = (definition(1, "shop"), definition(2, "shop"), definition(3, "other"));
        let all = [&shop, &changed, &other];
        let in_force = |newest: &[(i32, i64)]| {
            let newest = newest.iter().copied().collect();
            super::in_force(&all, &newest).iter().map(|it| it.monitor_id).collect::<Vec<_>>()
        };
        assert_eq!(in_force(&[]), [3, 2]);
        assert_eq!(in_force(&[(1, 5)]), [3, 1]);
        assert_eq!(in_force(&[(1, 5), (2, 6)]), [3, 2]);
        assert_eq!(in_force(&[(1, 7), (2, 6), (3, 9)]), [3, 1]);
    }
}
