//! Tables as they are after ninety days: a thousand monitors, five agents, outages of sites and of paths, gaps, an agent
//! that is silent, one with a backlog and a clock that was set back, and data that came late.
//!
//! Made in the database by rules of the monitor's number and the hour, so that it is always the same but for the time; and
//! in the order of time, as rows come. An hour in 700 of a monitor has an outage of forty minutes, one of four of which
//! agent 2 alone sees; agent 3 lost power for five hours twelve days ago; agent 5 says nothing since forty minutes ago.
//! Each monitor is checked every five minutes by each agent. Results are there of the last thirty hours, and of the hours
//! with outages.

use anyhow::{Result, ensure};

use crate::postgres::Database;

/// How many monitors there are.
pub const MONITORS: usize = 1_000;

/// Fills the collector's empty tables. Of this many days there are summaries by the hour, of the others only by the day.
///
/// # Errors
/// When the database refuses.
pub fn make(database: &Database, days_by_hour: u32) -> Result<()> {
    for part in [NAMES, OUTAGES, RESULTS] {
        database.execute(&format!("set search_path = website_monitor; set jit = off; {part}"))?;
    }
    database.execute(&summaries(days_by_hour))?;
    database.execute("drop table website_monitor.scene_outages; analyze")
}

/// Whether a collector has summed up what is over, and packed what pages show of it.
///
/// # Errors
/// What is left to do.
pub fn is_ready(database: &Database) -> Result<()> {
    let hours = database.count("website_monitor.rollup_due where hour <= now() - interval '61 minutes'")?;
    let days = database.count("website_monitor.daily_due where day <= now() - interval '25 hours 1 minute'")?;
    // 512 monitors to a block, of two days by the hour and of ninety days.
    let wanted = MONITORS.div_ceil(512) * (48 + 89);
    let packed = database.count("website_monitor.summary_blocks")?;
    ensure!(hours + days == 0, "{hours} hours and {days} days are due");
    ensure!(packed >= wanted as u64, "{packed} of {wanted} blocks");
    Ok(())
}

/// Lets time pass without a gap: results of the time since it was made are as those before.
///
/// # Errors
/// When the database refuses.
pub fn catch_up(database: &Database) -> Result<()> {
    database.execute(
        "set search_path = website_monitor;
         insert into results
         select (jsonb_populate_record(r, jsonb_build_object(
                    'checked_at', r.checked_at + passed.time, 'seq', r.seq + 1000000000))).*
         from (select max(checked_at) as last, now() - max(checked_at) as time from results) passed, results r
         where r.checked_at > passed.last - passed.time;
         analyze results",
    )
}

const NAMES: &str = "
insert into agents (name, version, labels, last_seen, last_report, clock_behind_us, report)
select name, '0.1.0', jsonb_build_object('site', name), now() - silent, now() - silent, behind_us, report
from (values
    ('fra-1', interval '20 s', 0, '{\"outbox_bytes\": 1048576}'::jsonb),
    ('nyc-1', '31 s', 61000000, '{\"outbox_bytes\": 188743680, \"clock\": {\"jumps\": 1, \"last_jump_us\": -61000000}}'),
    ('sin-1', '12 s', 0, '{\"outbox_bytes\": 1048576, \"missed\": {\"overlap\": 14}}'),
    ('lon-1', '45 s', 0, '{\"outbox_bytes\": 1048576, \"faults\": 2}'),
    ('tyo-1', '41 min', 0, '{\"outbox_bytes\": 1048576}')
) a(name, silent, behind_us, report);
insert into epochs (epoch, agent_id, report_seq, reported_at, pending, dropped)
select gen_random_uuid(), agent_id, 1, last_report, case agent_id when 2 then 18422 else 0 end,
       case agent_id when 4 then '{[100,350)}'::int8multirange else '{}' end
from agents order by agent_id;
insert into monitors (id, name, url, pattern, hash)
select n.name, n.name, n.url, null, monitor_hash(n.name, n.name, n.url, null)
from generate_series(1, 1000) m,
     lateral (select (array['shop', 'checkout', 'search', 'accounts', 'media', 'docs', 'status', 'api'])[1 + m % 8],
                     (array['eu', 'us', 'ap'])[1 + m % 3], m) p(part, region, number),
     lateral (select format('%s %s %s', p.part, p.region, lpad(p.number::text, 4, '0')),
                     format('https://%s-%s.%s.example/', p.part, p.number, p.region)) n(name, url)
order by m;
insert into schedules (epoch_id, seq, at, event, revision, monitors, intervals_ms, tags)
select epoch_id, 1 + portion, now() - interval '91 days', 'start', 'a1', m.ids, m.intervals, m.tags
from epochs, generate_series(0, 1) portion,
     lateral (
         select array_agg(id order by monitor_id), array_agg(300000::bigint order by monitor_id),
                array_agg(jsonb_build_object(
                    'team', (array['payments', 'web', 'platform', 'search', 'media'])[1 + monitor_id % 5],
                    'region', split_part(name, ' ', 2)) order by monitor_id)
         from monitors where (monitor_id - 1) / 500 = portion
     ) m(ids, intervals, tags);
";

/// Which monitors have an outage in which hours.
const OUTAGES: &str = "
create table scene_outages as
select m, h, mod(abs(x.hash) / 700, 4) = 0 as is_paths
from generate_series(1, 1000) m,
     generate_series(date_trunc('day', now() - interval '90 days', 'UTC'), now(), interval '1 hour') h,
     lateral (select hashint8(m * 100003::bigint + extract(epoch from h)::bigint / 3600)::bigint) x(hash)
where mod(abs(x.hash), 700) = 0;
create index on scene_outages (m, h);
analyze scene_outages;
";

/// Results of the last thirty hours, and of the hours with outages before. Now monitors 7, 70 and 700 are down, and agent
/// 2 alone sees 17 and 170 fail.
const RESULTS: &str = "
select make_results_partition(day::date)
from generate_series(now() - interval '90 days', now() + interval '1 day', interval '1 day') day;
insert into results
select c.m, c.at, c.a,
       (extract(epoch from c.at - now())::bigint / 300 + 27000) * 1000 + c.m,
       o.outcome, case when r.us is not null then s.code end, case when r.us is not null then s.reason end,
       coalesce(r.us, 5000000), 400, r.us / 10, r.us / 4, r.us / 2, r.us / 10, 1, null, '192.0.2.7:443',
       date_trunc('day', now()) + (9 + (hashint4(c.m) & 127)) * interval '1 day',
       case o.outcome when 'timeout' then 'no answer within 5 s'
                      when 'status_mismatch' then 'the status is 503, expected 200-399'
                      when 'agent_error' then 'no descriptors are left' end
from (
    select m, a, k, is_down and (not is_paths or a = 2) as is_down,
           h + k * interval '5 minutes' + (hashint4(m * 7 + a) & 255) * interval '1 s' as at
    from (
        select m, h, o.m is not null as is_down, o.is_paths
        from generate_series(1, 1000) m
        cross join generate_series(date_trunc('hour', now() - interval '30 hours', 'UTC'), now(), interval '1 hour') h
        left join scene_outages o using (m, h)
        union all
        select m, h, true, is_paths from scene_outages where h < date_trunc('hour', now() - interval '30 hours', 'UTC')
    ) hours, generate_series(1, 5) a, generate_series(0, 11) k
    order by h, k, m, a
) c,
lateral (
    select case
        when c.is_down and c.k between 2 and 9
            or c.at > now() - interval '23 minutes' and (c.m in (7, 70, 700) or c.m in (17, 170) and c.a = 2)
        then case when c.m & 1 = 0 then 'timeout' else 'status_mismatch' end
        when c.a = 4 and c.k = 3 and hashint8(c.m * 77::bigint + extract(epoch from c.at)::bigint) & 1023 = 0
        then 'agent_error'
        else 'success'
    end
) o(outcome),
lateral (
    select (case o.outcome when 'success' then 200 else 503 end)::smallint,
           case o.outcome when 'success' then 'OK' else 'Service Unavailable' end
) s(code, reason),
lateral (
    select case when o.outcome in ('success', 'status_mismatch') then
        (20000 + (hashint4(c.m) & 127) * 1000
         * exp((hashint8(c.m * 9973::bigint + extract(epoch from c.at)::bigint) & 1023) / 700.0))::bigint
    end
) r(us)
where c.at < now()
  and not (c.a = 3 and c.at between now() - interval '293 hours' and now() - interval '288 hours')
  and not (c.a = 5 and c.at > now() - interval '40 minutes');
update epochs set accounted = int8multirange(int8range(1, s.last + 1)), claimed = s.last
from (select epoch_id, max(seq) as last from results group by 1) s where s.epoch_id = epochs.epoch_id;
";

/// Summaries by the hour of this many days up to the last thirty hours, by the day of those before, and the marks of what
/// the collector is to sum up.
fn summaries(days_by_hour: u32) -> String {
    let columns = |hours: u32| {
        format!(
            "select x.m, x.at, a, x.checks, x.checks - x.failed, {}, x.checks, x.checks * r.us, 2 * r.us,
                    array_fill(0, array[9]) || array[x.checks - {hours}, {hours}] || array_fill(0, array[13])",
            if hours == 1 {
                "0, 0, 0, 0, 0, case when x.m & 1 = 0 then x.failed else 0 end, 0, 0, 0,
                 case when x.m & 1 = 0 then 0 else x.failed end, 0, 0, 0, 0, 0"
            } else {
                "0"
            }
        )
    };
    format!(
        "set search_path = website_monitor; set jit = off;
         insert into hourly {of_hours}
         from (
             select m, h as at, a, 12 as checks,
                    case when o.m is not null and (not o.is_paths or a = 2) then 8 else 0 end as failed
             from generate_series(date_trunc('day', now() - {days_by_hour} * interval '1 day', 'UTC'),
                                  date_trunc('hour', now() - interval '31 hours', 'UTC'), interval '1 hour') h
             cross join generate_series(1, {MONITORS}) m cross join generate_series(1, 5) a
             left join scene_outages o using (m, h)
             where not (a = 3 and h between now() - interval '293 hours' and now() - interval '288 hours')
             order by h
         ) x(m, at, a, checks, failed), lateral (select 20000 + (hashint4(x.m) & 127) * 1500) r(us);
         insert into daily {of_days}
         from (
             select m, d, a, case when a = 3 and d = date_trunc('day', now() - interval '290 hours', 'UTC') then 228 else 288 end,
                    8 * (select count(*) from scene_outages o where o.m = s.m and h >= d and h < d + interval '1 day'
                                                                and (not is_paths or a = 2))::integer
             from generate_series(date_trunc('day', now() - interval '90 days', 'UTC'),
                                  date_trunc('day', now() - ({days_by_hour} + 1) * interval '1 day', 'UTC'), interval '1 day') d,
                  generate_series(1, {MONITORS}) s(m), generate_series(1, 5) a
             order by d
         ) x(m, at, a, checks, failed), lateral (select 20000 + (hashint4(x.m) & 127) * 1500) r(us);
         insert into rollup_due
         select hour, int4multirange(int4range(1, {MONITORS} + 1))
         from generate_series(date_trunc('hour', now() - interval '30 hours', 'UTC'), now(), interval '1 hour') hour;
         insert into daily_due
         select day, int4multirange(int4range(1, {MONITORS} + 1))
         from generate_series(date_trunc('day', now() - {days_by_hour} * interval '1 day', 'UTC'), now(), interval '1 day') day;
         insert into late_arrivals (hour, agent_id, results, received_at)
         select hour, 2, 12000, date_trunc('hour', now(), 'UTC') - interval '8 hours'
         from generate_series(date_trunc('hour', now() - interval '14 hours', 'UTC'),
                              now() - interval '10 hours', interval '1 hour') hour;",
        of_hours = columns(1),
        of_days = columns(24)
    )
}
