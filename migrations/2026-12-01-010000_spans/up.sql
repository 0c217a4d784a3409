-- A list of monitors is said again at each change of a configuration, and most of it is as it was: what an agent says of a
-- monitor holds in one span until it changes. Of three agents with 500 monitors and 48 changes a day there are 1,500 spans a
-- month, and two million without that.
create or replace function schedule_spans(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitor text, interval_ms bigint, tags jsonb,
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language sql stable parallel safe
begin atomic
    with said as (
        select distinct l.agent_id, d.monitor, d.interval_ms, coalesce(d.tags, '{}') as tags,
               l.begins, l.ends, l.is_stopped, l.resumes
        from schedule_lists(schedule_spans.since, schedule_spans.until) l
        cross join lateral unnest(l.monitors, l.intervals_ms, l.tags) d(monitor, interval_ms, tags)
    ),
    marked as (
        select s.*, lag(s.ends) over neighbours is distinct from s.begins
                    or lag(s.interval_ms) over neighbours <> s.interval_ms
                    or lag(s.tags) over neighbours <> s.tags as is_new
        from said s
        window neighbours as (partition by s.agent_id, s.monitor order by s.begins, s.ends, s.interval_ms)
    ),
    numbered as (
        select m.*, count(*) filter (where m.is_new) over (
                   partition by m.agent_id, m.monitor order by m.begins, m.ends, m.interval_ms rows unbounded preceding
               ) as span
        from marked m
    )
    -- Only the last part of a span can be open, or end with a stop.
    select n.agent_id, n.monitor, n.interval_ms, n.tags, min(n.begins),
           case when bool_and(n.ends is not null) then max(n.ends) end, bool_or(n.is_stopped), max(n.resumes)
    from numbered n
    group by n.agent_id, n.monitor, n.span, n.interval_ms, n.tags;
end;
