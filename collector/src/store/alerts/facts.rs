//! What rules ask for, of one moment. Only the last checks of each monitor are looked at: those of the time for which
//! its latest result counts, and of as many intervals as a rule wants failures in a row.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::pg::data_types::PgTimestamp;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, SmallInt, Text, Timestamptz};
use jiff::{SignedDuration, Timestamp};

use crate::alerts::{Agent, Facts, Monitor, Sight};
use crate::config::Alerts;
use crate::config::alerts::What;
use crate::figures::overview::Tags;
use crate::figures::state::{Latest, Look, patience};
use crate::store::tables::time;
use crate::store::trouble::Trouble;

/// The latest answers of each monitor that a percentile is of, at most.
const MOST_ANSWERS: i64 = 500;

/// Reads what the rules ask for.
pub(super) fn read(connection: &mut PgConnection, config: &Alerts) -> Result<Facts, Trouble> {
    #[derive(QueryableByName)]
    struct Now {
        #[diesel(sql_type = Timestamptz)]
        now: PgTimestamp,
    }
    let Now { now } = sql_query("select now() as now").get_result(connection)?;
    let as_of = time(now);
    let asks_of = |is_of_monitors| config.rules.iter().any(|rule| rule.what.is_of_monitors() == is_of_monitors);
    let monitors = if asks_of(true) { monitors(connection, config, as_of)? } else { Vec::new() };
    let agents = if asks_of(false) { agents(connection)? } else { Vec::new() };
    Ok(Facts { as_of, heard_since: Timestamp::MIN, monitors, agents })
}

#[derive(QueryableByName)]
struct SightRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    url: String,
    #[diesel(sql_type = Text)]
    agent: String,
    #[diesel(sql_type = BigInt)]
    interval_ms: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    checked_at: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    status_code: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    response_time_us: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    error: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    certificate_not_after: Option<PgTimestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    up_at: Option<PgTimestamp>,
    #[diesel(sql_type = BigInt)]
    failures: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    failing_since: Option<PgTimestamp>,
}

/// What agents are to look at: the latest list of each, with the interval of each monitor.
const DUE: &str = "
    newest as (
        select distinct on (e.agent_id) e.agent_id, s.epoch_id, s.event, s.revision
        from schedules s join epochs e using (epoch_id)
        order by e.agent_id, s.at desc, s.seq desc
    ),
    due as materialized (
        select n.agent_id, d.monitor as id, max(d.interval_ms) as interval_ms
        from newest n
        join schedules s using (epoch_id, event, revision)
        cross join lateral unnest(s.monitors, s.intervals_ms) d(monitor, interval_ms)
        group by 1, 2
    ),
    watched as (
        select m.monitor_id, w.id, w.interval_ms
        from (select id, max(interval_ms) as interval_ms from due group by 1) w join monitors m using (id)
    )";

fn monitors(connection: &mut PgConnection, config: &Alerts, as_of: Timestamp) -> Result<Vec<Monitor>, Trouble> {
    let checks = config.rules.iter().map(|rule| match rule.what {
        What::Down { checks, .. } => i64::from(checks),
        _ => 1,
    });
    // As `patience` has it.
    let on_its_way = patience(SignedDuration::ZERO);
    let intervals = (patience(SignedDuration::from_secs(1)) - on_its_way).as_secs();
    let rows: Vec<SightRow> = sql_query(format!(
        "with {DUE},
         seen as (
             select w.id, e.agent_id, r.*
             from watched w
             cross join lateral (
                 select s.checked_at, s.epoch_id, s.seq, s.outcome, s.status_code, s.response_time_us, s.error,
                        s.certificate_not_after
                 from results s
                 where s.monitor_id = w.monitor_id
                   and s.checked_at > now() - (w.interval_ms * $1 + $2) * interval '1 millisecond'
                 offset 0
             ) r
             join epochs e using (epoch_id)
         ),
         marked as (
             select s.*,
                    s.outcome not in ('success', 'agent_error') as is_failure,
                    max(s.checked_at) filter (where s.outcome = 'success') over (partition by s.id, s.agent_id) as up_at
             from seen s
         ),
         counted as (
             select m.*,
                    count(*) filter (where m.is_failure and (m.up_at is null or m.checked_at > m.up_at)) over of_one
                        as failures,
                    min(m.checked_at) filter (where m.is_failure and (m.up_at is null or m.checked_at > m.up_at))
                        over of_one as failing_since,
                    row_number() over (partition by m.id, m.agent_id order by m.checked_at desc, m.seq desc) as place
             from marked m
             window of_one as (partition by m.id, m.agent_id)
         ),
         known as (select distinct on (id) id, name, url from monitors order by id, monitor_id desc)
         select d.id, coalesce(k.name, d.id) as name, coalesce(k.url, '') as url, a.name as agent, d.interval_ms,
                c.checked_at, c.outcome, c.status_code, c.response_time_us, c.error, c.certificate_not_after, c.up_at,
                coalesce(c.failures, 0) as failures, c.failing_since
         from due d
         join agents a using (agent_id)
         left join known k on k.id = d.id
         left join counted c on c.id = d.id and c.agent_id = d.agent_id and c.place = 1
         order by d.id, a.name"
    ))
    .bind::<BigInt, _>(intervals + checks.max().unwrap_or(1))
    .bind::<BigInt, _>(i64::try_from(on_its_way.as_millis()).unwrap_or(i64::MAX))
    .load(connection)?;
    let mut tags = tags(connection)?;
    let mut monitors: BTreeMap<String, Monitor> = BTreeMap::new();
    for row in rows {
        let monitor = monitors.entry(row.id.clone()).or_insert_with(|| Monitor {
            tags: tags.remove(&row.id).unwrap_or_default(),
            id: row.id.clone(),
            name: row.name.clone(),
            url: row.url.clone(),
            ..Monitor::default()
        });
        monitor.sights.push(sight(row, as_of));
    }
    for rule in &config.rules {
        if let What::Slow { percentile, lasting, .. } = rule.what {
            for (id, us) in times(connection, percentile, lasting)? {
                if let Some(monitor) = monitors.get_mut(&id) {
                    monitor.times_us.insert(rule.name.clone(), us);
                }
            }
        }
    }
    Ok(monitors.into_values().collect())
}

fn sight(row: SightRow, as_of: Timestamp) -> Sight {
    let checked_at = row.checked_at.map(time);
    let interval = SignedDuration::from_millis(row.interval_ms);
    let is_late = checked_at.is_none_or(|at| as_of.duration_since(at) > patience(interval));
    let look = match row.outcome.as_deref() {
        _ if is_late => Look::Silent,
        Some("success") => Look::Success,
        Some("agent_error") => Look::AgentError,
        _ => Look::Failure,
    };
    Sight {
        latest: Latest {
            agent: row.agent,
            look,
            checked_at,
            outcome: row.outcome,
            status_code: row.status_code,
            response_time_us: row.response_time_us,
            error: row.error,
            certificate_not_after: row.certificate_not_after.map(time),
        },
        failures: row.failures,
        since: row.failing_since.map(time),
        is_bounded: row.up_at.is_some(),
    }
}

/// The time within which so many of a hundred of the latest answers came, in microseconds, by monitor.
fn times(connection: &mut PgConnection, percentile: u8, lasting: Duration) -> Result<Vec<(String, i64)>, Trouble> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = BigInt)]
        us: i64,
    }
    let rows: Vec<Row> = sql_query(format!(
        "with {DUE}
         select w.id, percentile_disc($1) within group (order by r.response_time_us) as us
         from watched w
         cross join lateral (
             select s.response_time_us from results s
             where s.monitor_id = w.monitor_id and s.checked_at > now() - $2 * interval '1 millisecond'
               and s.outcome in ('success', 'status_mismatch', 'pattern_mismatch', 'too_slow', 'certificate_expiring')
               and s.response_time_us is not null
             order by s.checked_at desc limit $3
         ) r
         group by w.id"
    ))
    .bind::<Double, _>(f64::from(percentile) / 100.0)
    .bind::<BigInt, _>(i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX))
    .bind::<BigInt, _>(MOST_ANSWERS)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.id, row.us)).collect())
}

/// Tags by the monitor's id.
fn tags(_: &mut PgConnection) -> Result<BTreeMap<String, Tags>, Trouble> {
    Ok(BTreeMap::new())
}

/// All agents. A report says what waits; what was dropped is in the ledger.
fn agents(connection: &mut PgConnection) -> Result<Vec<Agent>, Trouble> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Nullable<Timestamptz>)]
        last_seen: Option<PgTimestamp>,
        #[diesel(sql_type = Bool)]
        has_stopped: bool,
        #[diesel(sql_type = BigInt)]
        pending: i64,
        #[diesel(sql_type = BigInt)]
        dropped: i64,
    }
    let rows: Vec<Row> = sql_query(
        "with latest as (
             select distinct on (agent_id) agent_id, ended_at, pending
             from epochs where reported_at is not null
             order by agent_id, reported_at desc, epoch_id desc
         ),
         dropped as (
             select e.agent_id, sum(upper(r.r) - lower(r.r))::bigint as count
             from epochs e cross join lateral unnest(e.dropped - e.accounted) r(r)
             where e.dropped <> '{}' group by 1
         )
         select a.name, a.last_seen, l.ended_at is not null as has_stopped, coalesce(l.pending, 0) as pending,
                coalesce(d.count, 0) as dropped
         from agents a left join latest l using (agent_id) left join dropped d using (agent_id)
         order by a.name",
    )
    .load(connection)?;
    let agent = |row: Row| Agent {
        name: row.name,
        last_seen: row.last_seen.map(time),
        has_stopped: row.has_stopped,
        pending: row.pending,
        dropped: row.dropped,
    };
    Ok(rows.into_iter().map(agent).collect())
}
