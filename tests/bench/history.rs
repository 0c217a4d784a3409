//! Results of thirty days, made in the database.

use anyhow::Result;
use e2e::postgres::Database;

pub(crate) const MONITORS: usize = 1_000;
const AGENTS: usize = 5;
const SECONDS: usize = 30 * 86_400;

/// Fills the tables with this many results or somewhat more, numbered without a gap by each agent, and marks their hours
/// as a collector does; how many they are.
pub(crate) fn make(database: &Database, results: usize) -> Result<u64> {
    // Each monitor is checked by two agents in each of these.
    let slots = results.div_ceil(2 * MONITORS);
    let each = SECONDS as f64 / slots as f64;
    let of_agent = 2 * MONITORS / AGENTS;
    database.execute(&format!(
        "set search_path = website_monitor;
         set jit = off;
         select make_results_partition(day::date)
         from generate_series(now() - interval '31 days', now() + interval '1 day', interval '1 day') day;
         insert into agents (name) select 'agent ' || agent from generate_series(1, {AGENTS}) agent;
         insert into epochs (epoch, agent_id) select gen_random_uuid(), agent_id from agents order by agent_id;
         insert into monitors (id, name, url, hash)
         select name, name, url, monitor_hash(name, name, url, null)
         from generate_series(1, {MONITORS}) n,
              lateral (select 'shop ' || n, 'https://shop-' || n || '.example/') m(name, url);
         insert into results
         select c.n + 1, c.at, 1 + (c.n + c.copy) % {AGENTS}, slot * {of_agent} + c.copy * {of_agent} / 2 + c.n / {AGENTS} + 1,
                o.outcome, case when r.us is not null then a.status end, case when r.us is not null then a.reason end,
                coalesce(r.us, 5000000), 400, 900, 2100, r.us - 4000, 500, 1, r.us is not null, '192.0.2.7:443', null,
                case when o.outcome <> 'success' then 'it did not work' end
         from generate_series(0, {slots} - 1) slot,
         lateral (
             select n, copy, slot::bigint * 2 + copy as turn,
                    now() - interval '30 days' + (slot + (hashint4(n * 2 + copy) & 1023) / 1024.0) * {each} * interval '1 s'
             from generate_series(0, {MONITORS} - 1) n, generate_series(0, 1) copy order by n, copy
         ) c(n, copy, turn, at),
         lateral (select extract(epoch from c.at)::bigint) t(second),
         lateral (
             select case
                 when hashint8(c.n * 100003 + t.second / 3600) & 255 = 0 and t.second % 3600 < 2400
                 then (array['timeout', 'status_mismatch', 'connection_refused', 'dns_error'])[1 + (hashint4(c.n) & 3)]
                 when hashint8(c.n * 77773 + c.turn) & 1023 = 0 then 'timeout'
                 when hashint8(c.n * 77777 + c.turn) & 4095 = 0 then 'agent_error'
                 else 'success'
             end
         ) o(outcome),
         lateral (
             select case o.outcome when 'success' then 200 else 503 end,
                    case o.outcome when 'success' then 'OK' else 'Service Unavailable' end
         ) a(status, reason),
         lateral (
             select case when o.outcome in ('success', 'status_mismatch') then
                 (10000 + (hashint4(c.n) & 127) * 1000 * exp((hashint8(c.n * 9973 + c.turn) & 1023) / 400.0))::bigint
             end
         ) r(us);
         update epochs set accounted = int8multirange(int8range(1, s.last + 1)), claimed = s.last
         from (select epoch_id, max(seq) as last from results group by 1) s where s.epoch_id = epochs.epoch_id;
         insert into rollup_due
         select hour, int4multirange(int4range(1, {MONITORS} + 1))
         from generate_series(date_trunc('hour', now() - interval '30 days', 'UTC'), now(), interval '1 hour') hour;
         analyze"
    ))?;
    database.count("website_monitor.results")
}
