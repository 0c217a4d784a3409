-- Outages.

-- Returns the failures of a monitor in a row as one agent saw them, from the first failure to the next success, within the
-- window. The agent's own errors neither begin nor end an outage.
--
-- Hours are read only where their day has a failure or is not whole yet, because the rows of one monitor lie far apart.
create or replace function outages(since timestamptz, until timestamptz, monitors integer[] default null)
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
    with days as (
        select d.monitor_id, d.day
        from daily d
        where d.day > outages.since - interval '24 hours' and d.day < outages.until
          and d.checks - d.success - d.agent_error > 0
          and (outages.monitors is null or d.monitor_id = any (outages.monitors))
        union
        select m.monitor_id, u.day
        from daily_due u cross join lateral unnest(u.monitors) r(ids)
        join monitors m on m.monitor_id >= lower(r.ids) and m.monitor_id < upper(r.ids)
        where u.day > outages.since - interval '24 hours' and u.day < outages.until
          and (outages.monitors is null or m.monitor_id = any (outages.monitors))
    ),
    looked_into as (
        select d.monitor_id, h.hour
        from days d
        -- The hours are read day by day, because a join would read the hours of all monitors.
        cross join lateral (
            select i.hour
            from hourly i
            where i.monitor_id = d.monitor_id and i.hour >= d.day and i.hour < d.day + interval '24 hours'
              and i.hour >= outages.since and i.hour <= outages.until - interval '1 hour'
              and i.checks - i.success - i.agent_error > 0
            offset 0
        ) h
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
              and s.checked_at >= outages.since and s.checked_at < outages.until
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
                 and r.checked_at >= outages.since and r.checked_at < outages.until
           ), s.clean_hour) end,
           s.failures, s.outcome, s.status_code, s.error
    from summed s;
end
$$;
