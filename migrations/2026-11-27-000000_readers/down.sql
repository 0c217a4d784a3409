drop function outages(timestamptz, timestamptz, integer[]);
drop function uptime(timestamptz, timestamptz, boolean, integer[], integer[]);
drop function checks_by_hour(timestamptz, timestamptz, integer[]);

-- The rows of hourly as they are once nothing is due any more; hours that the window cuts are of the part inside.
create function checks_by_hour(since timestamptz, until timestamptz) returns setof hourly
    language sql stable parallel safe
begin atomic
    with due as (
        select d.hour, range_agg(m.monitors) as monitors
        from rollup_due d cross join lateral unnest(d.monitors) m(monitors)
        where d.hour >= since and d.hour <= until - interval '1 hour'
        group by d.hour
    ),
    cut as (
        select distinct e.hour
        from (values (date_bin('1 hour', since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 hour', until, '1970-01-01 00:00:00Z'))) e(hour)
        where e.hour < until and (e.hour < since or e.hour > until - interval '1 hour')
    ),
    parts as (
        select m.monitor_id, d.hour from due d join monitors m on d.monitors @> m.monitor_id
        union all
        select m.monitor_id, c.hour from cut c cross join monitors m
    )
    select h.*
    from hourly h left join due d on d.hour = h.hour
    where h.hour >= since and h.hour <= until - interval '1 hour'
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

-- What share of the checks succeeded, of those that say something about the site, and how long answers took. One row
-- per monitor, or per monitor and agent; of all agents, or of some.
create function uptime(
    since timestamptz, until timestamptz, by_agent boolean default false, agents integer[] default null
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
        from checks_by_hour(since, until) h
        where agents is null or h.agent_id = any (agents)
        group by 1, 2
    ) s;
end;

-- Failures of a monitor in a row as one agent saw them, from the first one to the next success, within the window.
-- The agent's own trouble neither begins nor ends one.
create function outages(since timestamptz, until timestamptz, monitors integer[] default null)
    returns table (
        monitor_id integer, agent_id integer, began timestamptz, ended timestamptz, failures bigint,
        outcome text, status_code smallint, error text
    )
    language sql stable parallel safe
begin atomic
    with hours as materialized (
        select h.monitor_id, h.agent_id, h.hour, h.success, h.checks - h.success - h.agent_error as failures
        from checks_by_hour(since, until) h
        where outages.monitors is null or h.monitor_id = any (outages.monitors)
    ),
    failing as materialized (
        select distinct f.monitor_id, f.hour from hours f where f.failures > 0
    ),
    moments as (
        select r.monitor_id, e.agent_id, r.checked_at, r.epoch_id, r.seq, r.outcome = 'success' as is_up,
               false as is_hour, r.outcome, r.status_code, r.error
        from failing f
        cross join lateral (
            select s.* from results s
            where s.monitor_id = f.monitor_id and s.checked_at >= greatest(f.hour, outages.since)
              and s.checked_at < least(f.hour + interval '1 hour', outages.until) and s.outcome <> 'agent_error'
            offset 0
        ) r
        join epochs e using (epoch_id)
        union all
        -- Of an hour without failures it is enough to know that there was a success.
        select h.monitor_id, h.agent_id, h.hour, 0, 0, true, true, null, null, null
        from hours h
        where h.failures = 0 and h.success > 0
          and not exists (select from failing f where f.monitor_id = h.monitor_id and f.hour = h.hour)
    ),
    -- A run is a success and the failures after it.
    runs as (
        select m.*,
               count(*) filter (where m.is_up) over (
                   partition by m.monitor_id, m.agent_id order by m.checked_at, m.epoch_id, m.seq
                   rows unbounded preceding
               ) as run
        from moments m
    ),
    summed as (
        select r.monitor_id, r.agent_id, r.run,
               min(r.checked_at) filter (where r.is_up) as up_at,
               bool_or(r.is_hour) as is_hour,
               min(r.checked_at) filter (where not r.is_up) as began,
               count(*) filter (where not r.is_up) as failures,
               (array_agg(r.outcome order by r.checked_at, r.epoch_id, r.seq) filter (where not r.is_up))[1] as outcome,
               (array_agg(r.status_code order by r.checked_at, r.epoch_id, r.seq) filter (where not r.is_up))[1]
                   as status_code,
               (array_agg(r.error order by r.checked_at, r.epoch_id, r.seq) filter (where not r.is_up))[1] as error
        from runs r group by 1, 2, 3
    ),
    ended as (
        select s.*,
               lead(s.up_at) over following as next_up,
               lead(s.is_hour) over following as in_hour
        from summed s
        window following as (partition by s.monitor_id, s.agent_id order by s.run)
    )
    select e.monitor_id, e.agent_id, e.began,
           case when e.in_hour then coalesce((
               select min(r.checked_at)
               from results r join epochs o using (epoch_id)
               where r.monitor_id = e.monitor_id and o.agent_id = e.agent_id and r.outcome = 'success'
                 and r.checked_at >= greatest(e.next_up, outages.since)
                 and r.checked_at < e.next_up + interval '1 hour'
           ), e.next_up) else e.next_up end,
           e.failures, e.outcome, e.status_code, e.error
    from ended e
    where e.failures > 0;
end;
