-- A list of monitors is said again at each change of a configuration, and most of it is as it was: what an agent says of a
-- monitor holds in one span until it changes. Of three agents with 500 monitors and 48 changes a day there are 1,500 spans a
-- month, and two million without that.
--
-- Lists are compared with the one before them, place by place, since most places hold the same. Sorting the two million takes
-- seven times as long.

-- A long list comes in parts, and any list may come more than once.
create aggregate concatenated(anycompatiblearray) (
    sfunc = array_cat, stype = anycompatiblearray, parallel = safe
);

-- What one list has and the one before it has not, which is new, and the other way round. A list may have an entry several
-- times.
create function list_changes(
        old_monitors text[], old_intervals_ms bigint[], old_tags jsonb[],
        monitors text[], intervals_ms bigint[], tags jsonb[]
    )
    returns table (is_new boolean, monitor text, interval_ms bigint, tags jsonb)
    language sql immutable parallel safe
begin atomic
    with differing as materialized (
        select d.*
        from unnest(
            list_changes.old_monitors, list_changes.old_intervals_ms, list_changes.old_tags,
            list_changes.monitors, list_changes.intervals_ms, list_changes.tags
        ) d(old_monitor, old_interval_ms, old_tags, monitor, interval_ms, tags)
        where d.monitor is distinct from d.old_monitor
           or d.interval_ms is distinct from d.old_interval_ms
           or d.tags is distinct from d.old_tags
    ),
    old as (select d.old_monitor, d.old_interval_ms, d.old_tags from differing d where d.old_monitor is not null),
    new as (select d.monitor, d.interval_ms, d.tags from differing d where d.monitor is not null)
    select true, n.*
    from (select * from new except select * from old) n
    where not exists (
        select from unnest(array_positions(list_changes.old_monitors, n.monitor)) place
        where list_changes.old_intervals_ms[place] = n.interval_ms and list_changes.old_tags[place] = n.tags
    )
    union all
    select false, o.*
    from (select * from old except select * from new) o
    where not exists (
        select from unnest(array_positions(list_changes.monitors, o.old_monitor)) place
        where list_changes.intervals_ms[place] = o.old_interval_ms and list_changes.tags[place] = o.old_tags
    );
end;

create or replace function schedule_spans(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitor text, interval_ms bigint, tags jsonb,
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language sql stable parallel safe
begin atomic
    with whole as (
        select l.agent_id, l.begins, l.ends, l.is_stopped, l.resumes,
               concatenated(l.monitors) as monitors, concatenated(l.intervals_ms) as intervals_ms,
               concatenated(coalesce(l.tags, array_fill('{}'::jsonb, array[cardinality(l.monitors)]))) as tags
        from schedule_lists(schedule_spans.since, schedule_spans.until) l
        group by l.agent_id, l.begins, l.ends, l.is_stopped, l.resumes
    ),
    numbered as (
        select w.*, row_number() over of_agent as n, lag(w.ends) over of_agent is distinct from w.begins as is_first
        from whole w
        window of_agent as (partition by w.agent_id order by w.begins, w.ends)
    ),
    lists as (
        select n.*, lead(n.is_first, 1, true) over of_agent as is_last,
               lag(n.ends) over of_agent as old_ends, lag(n.is_stopped) over of_agent as old_is_stopped,
               lag(n.resumes) over of_agent as old_resumes,
               case when not n.is_first then lag(n.monitors) over of_agent end as old_monitors,
               case when not n.is_first then lag(n.intervals_ms) over of_agent end as old_intervals_ms,
               case when not n.is_first then lag(n.tags) over of_agent end as old_tags
        from numbered n
        window of_agent as (partition by n.agent_id order by n.n)
    ),
    changes as (
        select l.agent_id, l.n, l.begins, l.old_ends, l.old_is_stopped, l.old_resumes, c.*
        from lists l
        cross join lateral list_changes(
            l.old_monitors, l.old_intervals_ms, l.old_tags, l.monitors, l.intervals_ms, l.tags
        ) c
    ),
    -- In which list each span begins, and in which it ends. Of the spans of the same words the next one begins after the end
    -- of the one before.
    firsts as (
        select c.*, row_number() over (partition by c.agent_id, c.monitor, c.interval_ms, c.tags order by c.n) as nth
        from changes c
        where c.is_new
    ),
    ended as (
        select c.agent_id, c.n - 1 as n, c.monitor, c.interval_ms, c.tags,
               c.old_ends as ends, c.old_is_stopped as is_stopped, c.old_resumes as resumes
        from changes c
        where not c.is_new
        union
        select l.agent_id, l.n, d.monitor, d.interval_ms, d.tags, l.ends, l.is_stopped, l.resumes
        from lists l
        cross join lateral unnest(l.monitors, l.intervals_ms, l.tags) d(monitor, interval_ms, tags)
        where l.is_last
    ),
    lasts as (
        select e.*, row_number() over (partition by e.agent_id, e.monitor, e.interval_ms, e.tags order by e.n) as nth
        from ended e
    )
    select f.agent_id, f.monitor, f.interval_ms, f.tags, f.begins, l.ends, l.is_stopped, l.resumes
    from firsts f
    join lasts l using (agent_id, monitor, interval_ms, tags, nth);
end;
