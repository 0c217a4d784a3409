-- Summaries of hours and days, joined with the results that they do not have yet.

-- Returns summaries made from results. Each monitor has a begin and an end of its own, which lie within one hour.
--
-- Its plan is kept for a session, because planning for the partitions of three months takes longer than most queries. The
-- bounds of each monitor are repeated for all monitors together, so a partition of another day is skipped before it is opened.
create or replace function aggregate_results(monitors integer[], since timestamptz[], until timestamptz[])
    returns setof hourly
    language plpgsql stable parallel safe
    set jit = off
    set enable_seqscan = off
    set plan_cache_mode = force_generic_plan
    set search_path from current
as $$
#variable_conflict use_column
declare
    earliest timestamptz := (select min(t) from unnest(aggregate_results.since) t);
    latest timestamptz := (select max(t) from unnest(aggregate_results.until) t);
begin
    return query
    select g.monitor_id, g.hour, e.agent_id,
           sum(g.n)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'success'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'dns_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'connection_refused'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'connection_failed'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'tls_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'certificate_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'timeout'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'connection_closed'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'protocol_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'redirect_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'status_mismatch'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'body_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'pattern_mismatch'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'too_slow'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'certificate_expiring'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'agent_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.bucket is not null), 0)::integer,
           coalesce(sum(g.sum_us), 0)::bigint,
           max(g.max_us),
           array[
               coalesce(sum(g.n) filter (where g.bucket = 1), 0),
               coalesce(sum(g.n) filter (where g.bucket = 2), 0),
               coalesce(sum(g.n) filter (where g.bucket = 3), 0),
               coalesce(sum(g.n) filter (where g.bucket = 4), 0),
               coalesce(sum(g.n) filter (where g.bucket = 5), 0),
               coalesce(sum(g.n) filter (where g.bucket = 6), 0),
               coalesce(sum(g.n) filter (where g.bucket = 7), 0),
               coalesce(sum(g.n) filter (where g.bucket = 8), 0),
               coalesce(sum(g.n) filter (where g.bucket = 9), 0),
               coalesce(sum(g.n) filter (where g.bucket = 10), 0),
               coalesce(sum(g.n) filter (where g.bucket = 11), 0),
               coalesce(sum(g.n) filter (where g.bucket = 12), 0),
               coalesce(sum(g.n) filter (where g.bucket = 13), 0),
               coalesce(sum(g.n) filter (where g.bucket = 14), 0),
               coalesce(sum(g.n) filter (where g.bucket = 15), 0),
               coalesce(sum(g.n) filter (where g.bucket = 16), 0),
               coalesce(sum(g.n) filter (where g.bucket = 17), 0),
               coalesce(sum(g.n) filter (where g.bucket = 18), 0),
               coalesce(sum(g.n) filter (where g.bucket = 19), 0),
               coalesce(sum(g.n) filter (where g.bucket = 20), 0),
               coalesce(sum(g.n) filter (where g.bucket = 21), 0),
               coalesce(sum(g.n) filter (where g.bucket = 22), 0),
               coalesce(sum(g.n) filter (where g.bucket = 23), 0),
               coalesce(sum(g.n) filter (where g.bucket = 24), 0)
           ]::integer[]
    from (
        select p.monitor_id, date_bin('1 hour', p.since, '1970-01-01 00:00:00Z') as hour,
               r.epoch_id, r.outcome, r.bucket, r.n, r.sum_us, r.max_us
        from unnest(aggregate_results.monitors, aggregate_results.since, aggregate_results.until) p(monitor_id, since, until)
        cross join lateral (
            select t.epoch_id, t.outcome, response_time_bucket(t.us) as bucket,
                   count(*) as n, sum(t.us) as sum_us, max(t.us) as max_us
            from (
                select s.epoch_id, s.outcome,
                       case when s.outcome in ('success', 'status_mismatch', 'pattern_mismatch', 'too_slow',
                                               'certificate_expiring')
                            then s.response_time_us end as us
                from results s
                where s.monitor_id = p.monitor_id and s.checked_at >= p.since and s.checked_at < p.until
                  and s.checked_at >= earliest and s.checked_at < latest
            ) t
            group by 1, 2, 3
        ) r
    ) g
    -- The join comes after the aggregate, because inside of it every monitor would look through all epochs.
    join epochs e using (epoch_id)
    group by g.monitor_id, g.hour, e.agent_id;
end
$$;

-- Returns the rows of hourly as they are once nothing is due any more, of all monitors or of some. An hour that the window
-- cuts has the part inside of the window.
create or replace function checks_by_hour(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof hourly
    language sql stable parallel safe
begin atomic
    with due as (
        select d.hour, range_agg(m.monitors) as monitors
        from rollup_due d cross join lateral unnest(d.monitors) m(monitors)
        where d.hour >= checks_by_hour.since and d.hour <= until - interval '1 hour'
        group by d.hour
    ),
    cut as (
        select distinct e.hour
        from (values (date_bin('1 hour', since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 hour', until, '1970-01-01 00:00:00Z'))) e(hour)
        where e.hour < until and (e.hour < since or e.hour > until - interval '1 hour')
    ),
    asked as (
        select m.monitor_id from monitors m
        where checks_by_hour.monitors is null or m.monitor_id = any (checks_by_hour.monitors)
    ),
    parts as (
        select a.monitor_id, d.hour from due d join asked a on d.monitors @> a.monitor_id
        union all
        select a.monitor_id, c.hour from cut c cross join asked a
    )
    select h.*
    from hourly h left join due d on d.hour = h.hour
    where h.hour >= since and h.hour <= until - interval '1 hour'
      and (checks_by_hour.monitors is null or h.monitor_id = any (checks_by_hour.monitors))
      and (d.hour is null or not d.monitors @> h.monitor_id)
    union all
    select a.*
    from (
        select array_agg(p.monitor_id) as monitors,
               array_agg(greatest(p.hour, checks_by_hour.since)) as since,
               array_agg(least(p.hour + interval '1 hour', checks_by_hour.until)) as until
        from parts p
    ) f
    cross join lateral aggregate_results(f.monitors, f.since, f.until) a;
end;

-- Returns summaries of days that are made from hours.
create or replace function days_of_hours(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof daily
    language sql stable parallel safe
begin atomic
    select h.monitor_id, date_bin('1 day', h.hour, '1970-01-01 00:00:00Z'), h.agent_id,
           sum(h.checks)::integer, sum(h.success)::integer, sum(h.agent_error)::integer, sum(h.answered)::integer,
           sum(h.response_time_sum_us)::bigint, max(h.response_time_max_us),
           array[
               sum(h.response_times[1]), sum(h.response_times[2]), sum(h.response_times[3]), sum(h.response_times[4]),
               sum(h.response_times[5]), sum(h.response_times[6]), sum(h.response_times[7]), sum(h.response_times[8]),
               sum(h.response_times[9]), sum(h.response_times[10]), sum(h.response_times[11]), sum(h.response_times[12]),
               sum(h.response_times[13]), sum(h.response_times[14]), sum(h.response_times[15]), sum(h.response_times[16]),
               sum(h.response_times[17]), sum(h.response_times[18]), sum(h.response_times[19]), sum(h.response_times[20]),
               sum(h.response_times[21]), sum(h.response_times[22]), sum(h.response_times[23]), sum(h.response_times[24])
           ]::integer[]
    from checks_by_hour(since, until, monitors) h
    group by 1, 2, 3;
end;

-- Returns the rows of daily as they are once nothing is due any more, of all monitors or of some. A day that the window cuts
-- has the part inside of the window. Days are days of UTC. Parameters are named in full, because rollup_due has a column
-- `since`.
create or replace function checks_by_day(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof daily
    language sql stable parallel safe
begin atomic
    with due as (
        select d.day, range_agg(m.monitors) as monitors
        from (
            select u.day, u.monitors from daily_due u where u.day >= checks_by_day.since and u.day <= checks_by_day.until - interval '1 day'
            union all
            select date_bin('1 day', r.hour, '1970-01-01 00:00:00Z'), r.monitors
            from rollup_due r where r.hour >= checks_by_day.since and r.hour < checks_by_day.until
        ) d
        cross join lateral unnest(d.monitors) m(monitors)
        where d.day >= checks_by_day.since and d.day <= checks_by_day.until - interval '1 day'
        group by d.day
    ),
    parts as (
        select d.day, d.monitors from due d
        where checks_by_day.monitors is null
           or exists (select from unnest(checks_by_day.monitors) a(monitor_id) where d.monitors @> a.monitor_id)
        union all
        select distinct e.day, '{(,)}'::int4multirange
        from (values (date_bin('1 day', checks_by_day.since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 day', checks_by_day.until, '1970-01-01 00:00:00Z'))) e(day)
        where e.day < checks_by_day.until and (e.day < checks_by_day.since or e.day > checks_by_day.until - interval '1 day')
    )
    select s.*
    from daily s left join due d on d.day = s.day
    where s.day >= checks_by_day.since and s.day <= checks_by_day.until - interval '1 day'
      and (checks_by_day.monitors is null or s.monitor_id = any (checks_by_day.monitors))
      and (d.day is null or not d.monitors @> s.monitor_id)
    union all
    -- The hours are asked for by the monitors of the call, which are known before the query is planned. With the
    -- monitors of a part, they would be found by the hour alone, which reads the hours of all monitors of a day.
    select h.*
    from parts p
    cross join lateral days_of_hours(
        greatest(p.day, checks_by_day.since), least(p.day + interval '1 day', checks_by_day.until), checks_by_day.monitors
    ) h
    where p.monitors @> h.monitor_id;
end;

-- Returns the share of successes among the checks that say something about the site, and how long answers took. Returns
-- one row per monitor, or per monitor and agent; of all agents or of some, and of all monitors or of some.
create or replace function uptime(
    since timestamptz, until timestamptz, by_agent boolean default false, agents integer[] default null,
    monitors integer[] default null
)
    returns table (
        monitor_id integer, agent_id integer, checks bigint, success bigint, agent_error bigint,
        uptime double precision, answered bigint,
        mean_us double precision, p50_us double precision, p95_us double precision, p99_us double precision,
        max_us bigint
    )
    language sql stable parallel safe
begin atomic
    select s.monitor_id, s.agent_id, s.checks, s.success, s.agent_error,
           s.success::double precision / nullif(s.checks - s.agent_error, 0),
           s.answered,
           s.sum_us / nullif(s.answered, 0)::double precision,
           response_time_percentile(s.response_times, s.max_us, 0.5),
           response_time_percentile(s.response_times, s.max_us, 0.95),
           response_time_percentile(s.response_times, s.max_us, 0.99),
           s.max_us
    from (
        select h.monitor_id, case when by_agent then h.agent_id end as agent_id,
               sum(h.checks) as checks, sum(h.success) as success, sum(h.agent_error) as agent_error,
               sum(h.answered) as answered, sum(h.response_time_sum_us)::double precision as sum_us,
               max(h.response_time_max_us) as max_us,
               array[
                   sum(h.response_times[1]), sum(h.response_times[2]), sum(h.response_times[3]), sum(h.response_times[4]),
                   sum(h.response_times[5]), sum(h.response_times[6]), sum(h.response_times[7]), sum(h.response_times[8]),
                   sum(h.response_times[9]), sum(h.response_times[10]), sum(h.response_times[11]), sum(h.response_times[12]),
                   sum(h.response_times[13]), sum(h.response_times[14]), sum(h.response_times[15]), sum(h.response_times[16]),
                   sum(h.response_times[17]), sum(h.response_times[18]), sum(h.response_times[19]), sum(h.response_times[20]),
                   sum(h.response_times[21]), sum(h.response_times[22]), sum(h.response_times[23]), sum(h.response_times[24])
               ] as response_times
        from checks_by_hour(since, until, monitors) h
        where agents is null or h.agent_id = any (agents)
        group by 1, 2
    ) s;
end;
