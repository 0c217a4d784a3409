-- Functions for readers, quicker: they look only at the monitors that are asked for, and an outage is found without
-- a look at each hour in which nothing failed.

drop function outages(timestamptz, timestamptz, integer[]);
drop function uptime(timestamptz, timestamptz, boolean, integer[]);
drop function checks_by_hour(timestamptz, timestamptz);

-- The rows of hourly as they are once nothing is due any more, of all monitors or of some; hours that the window cuts
-- are of the part inside.
create function checks_by_hour(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof hourly
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

-- What share of the checks succeeded, of those that say something about the site, and how long answers took. One row
-- per monitor, or per monitor and agent; of all agents or of some, and of all monitors or of some.
create function uptime(
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

-- Failures of a monitor in a row as one agent saw them, from the first one to the next success, within the window.
-- The agent's own trouble neither begins nor ends one.
--
-- Rows are read of the hours that have failures, that are due, or that the window cuts. Of the others it is enough to
-- know, for a failure that is the last one of its hour, which is the first of them that has a success.
--
-- In another language than SQL so that it has settings of its own, and is planned for what is asked: a just-in-time
-- compiler takes 40 times as long as the outages of a monitor.
create function outages(since timestamptz, until timestamptz, monitors integer[] default null)
    returns table (
        monitor_id integer, agent_id integer, began timestamptz, ended timestamptz, failures bigint,
        outcome text, status_code smallint, error text
    )
    language plpgsql stable parallel safe
    set jit = off
    set plan_cache_mode = force_custom_plan
    set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    with looked_into as (
        select h.monitor_id, h.hour
        from hourly h
        where h.hour >= outages.since and h.hour <= outages.until - interval '1 hour'
          and h.checks - h.success - h.agent_error > 0
          and (outages.monitors is null or h.monitor_id = any (outages.monitors))
        union
        select m.monitor_id, d.hour
        from (
            select u.hour, range_agg(r.monitors) as monitors
            from rollup_due u cross join lateral unnest(u.monitors) r(monitors)
            where u.hour >= outages.since and u.hour <= outages.until - interval '1 hour'
            group by u.hour
        ) d
        join monitors m on d.monitors @> m.monitor_id
        where outages.monitors is null or m.monitor_id = any (outages.monitors)
        union
        select m.monitor_id, c.hour
        from (values (date_bin('1 hour', outages.since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 hour', outages.until, '1970-01-01 00:00:00Z'))) c(hour)
        cross join monitors m
        where c.hour < outages.until and (c.hour < outages.since or c.hour > outages.until - interval '1 hour')
          and (outages.monitors is null or m.monitor_id = any (outages.monitors))
    ),
    moments as (
        select l.monitor_id, e.agent_id, l.hour, r.checked_at, r.epoch_id, r.seq, r.outcome = 'success' as is_up,
               r.outcome, r.status_code, r.error
        from looked_into l
        cross join lateral (
            select s.* from results s
            where s.monitor_id = l.monitor_id and s.checked_at >= greatest(l.hour, outages.since)
              and s.checked_at < least(l.hour + interval '1 hour', outages.until) and s.outcome <> 'agent_error'
            offset 0
        ) r
        join epochs e using (epoch_id)
    ),
    followed as (
        select m.*,
               lead(m.is_up) over one as next_is_up,
               lead(m.checked_at) over one as next_at,
               lead(m.hour) over one as next_hour
        from moments m
        window one as (partition by m.monitor_id, m.agent_id order by m.checked_at, m.epoch_id, m.seq)
    ),
    -- A failure ends its outage when a success is next.
    ending as (
        select f.*, c.hour as clean_hour, f.is_up or coalesce(f.next_is_up, false) or c.hour is not null as is_end
        from followed f
        left join lateral (
            select min(h.hour) as hour
            from hourly h
            where h.monitor_id = f.monitor_id and h.agent_id = f.agent_id and h.success > 0
              and h.hour > f.hour and h.hour < coalesce(f.next_hour, outages.until)
              and h.hour <= outages.until - interval '1 hour'
        ) c on not f.is_up and f.next_hour is distinct from f.hour
    ),
    numbered as (
        select n.*,
               count(*) filter (where n.is_end) over (
                   partition by n.monitor_id, n.agent_id order by n.checked_at, n.epoch_id, n.seq
                   rows between unbounded preceding and 1 preceding
               ) as run
        from ending n
    ),
    summed as (
        select n.monitor_id, n.agent_id,
               min(n.checked_at) as began,
               min(n.clean_hour) as clean_hour,
               min(n.next_at) filter (where n.next_is_up) as up_at,
               count(*) as failures,
               (array_agg(n.outcome order by n.checked_at, n.epoch_id, n.seq))[1] as outcome,
               (array_agg(n.status_code order by n.checked_at, n.epoch_id, n.seq))[1] as status_code,
               (array_agg(n.error order by n.checked_at, n.epoch_id, n.seq))[1] as error
        from numbered n
        where not n.is_up
        group by n.monitor_id, n.agent_id, n.run
    )
    select s.monitor_id, s.agent_id, s.began,
           case when s.clean_hour is null then s.up_at else coalesce((
               select min(r.checked_at)
               from results r join epochs o using (epoch_id)
               where r.monitor_id = s.monitor_id and o.agent_id = s.agent_id and r.outcome = 'success'
                 and r.checked_at >= s.clean_hour and r.checked_at < s.clean_hour + interval '1 hour'
           ), s.clean_hour) end,
           s.failures, s.outcome, s.status_code, s.error
    from summed s;
end
$$;
