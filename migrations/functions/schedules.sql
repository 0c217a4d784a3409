-- What agents say should arrive.

-- Returns the agents that are retired now. A report that the agent had made before, and that waited in its outbox, does not
-- end a retirement.
create or replace function retired_agents()
    returns table (agent_id integer, since timestamptz)
    language sql stable parallel safe
begin atomic
    select distinct on (r.agent_id) r.agent_id, r.since
    from retirements r join agents a using (agent_id)
    where coalesce(a.heard_at <= r.said_at, true)
    order by r.agent_id, r.said_at desc;
end;

-- Concatenates arrays: a long list comes in several parts.
create or replace aggregate concatenated(anycompatiblearray) (
    sfunc = array_cat, stype = anycompatiblearray, parallel = safe
);

-- Returns the entries that one list has and the list before it has not, which are new, and the entries that went. A list may
-- have an entry several times.
create or replace function list_changes(
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

-- Returns what schedule_spans returns, by lists as they were said. A reader that needs one monitor takes it out of the list.
-- The plan is kept for a session, because it has many parts and few rows.
create or replace function schedule_lists(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitors text[], intervals_ms bigint[], tags jsonb[],
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language plpgsql stable parallel safe
    rows 100
    set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    with marked as (
        select s.epoch_id, s.seq, s.at,
               (s.event, s.revision) is distinct from
                   (lag(s.event) over of_epoch, lag(s.revision) over of_epoch) as is_new
        from schedules s
        window of_epoch as (partition by s.epoch_id order by s.seq)
    ),
    numbered as (
        select m.*, count(*) filter (where m.is_new) over (
                   partition by m.epoch_id order by m.seq rows unbounded preceding
               ) as list
        from marked m
    ),
    lists as (
        select n.epoch_id, n.list, min(n.at) as begins, min(n.seq) as first_seq, max(n.seq) as last_seq
        from numbered n group by 1, 2
    ),
    -- Runs are in the order in which the database found them to be their agent's last one, whatever their clocks said.
    -- When the clock was set back between two runs, the later run begins, by its clock, before the earlier one had
    -- ended, and both owe the same time. A run that never was the last one, because all of it came late, is put where
    -- its own clock says. A run that goes on beside another one, as those of two hosts with one name do, ends only
    -- where a run follows it in its own chain.
    followed as (
        select e.agent_id, l.*, e.ended_at as stopped, e.reported_at, e.prompt_report_at,
               case when e.took_over_at is null then
                        lead(l.begins) over (partition by e.agent_id order by l.begins, l.epoch_id, l.list)
                    when e.returns > 0 and max(e.returns) over (partition by e.agent_id) > 1
                     and lead(l.epoch_id) over of_leading is distinct from l.epoch_id then (
                        select min(s.at) from epochs n join schedules s using (epoch_id)
                        where n.agent_id = e.agent_id and n.previous = e.epoch and n.first_seen > e.returned_at
                    )
                    when lead(l.epoch_id) over of_leading <> l.epoch_id then
                        greatest(lead(l.begins) over of_leading, e.reported_at)
                    else lead(l.begins) over of_leading
               end as next_begins
        from lists l join epochs e using (epoch_id)
        window of_leading as (
            partition by e.agent_id, e.took_over_at is null order by e.took_over_at, l.epoch_id, l.list
        )
    ),
    ended as (
        select f.*, least(f.next_begins, r.since) as resumes
        from followed f
        left join lateral (
            select min(g.since) as since
            from retirements g
            where g.agent_id = f.agent_id and g.said_at > f.begins and coalesce(f.prompt_report_at <= g.said_at, true)
        ) r on true
        where f.begins < schedule_lists.until and coalesce(f.next_begins > schedule_lists.since, true)
    )
    select n.agent_id, s.monitors, s.intervals_ms, s.tags, n.begins, least(n.stopped, n.resumes),
           coalesce(n.stopped < n.resumes, n.stopped is not null),
           case when n.stopped is not null then n.resumes end
    from ended n
    join schedules s on s.epoch_id = n.epoch_id and s.seq between n.first_seq and n.last_seq
    where coalesce(n.resumes > greatest(n.begins, schedule_lists.since), true);
end
$$;

-- Returns what agents said should arrive, and for how long that held: up to the agent's next schedule, its clean stop or its
-- retirement. A span that has not ended has no `ends`. Where a stop ended it, `resumes` is the agent's next schedule. A list is
-- said again at each change of a configuration, so equal neighbouring spans of a monitor are returned as one span: three agents
-- with 500 monitors and 48 changes a day have 1,500 spans a month, and two million without that.
--
-- Each list is compared with the list before it, place by place, because most places hold the same. Sorting the two million
-- entries takes seven times as long.
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
    -- The list in which each span begins, and the list in which it ends. Among spans of the same monitor, interval and
    -- tags, each one begins after the end of the one before.
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

-- Returns how many results of a monitor, by its id, were due from an agent, as far as the agent's reports tell. A schedule
-- holds until the agent's next schedule or its clean stop. The slots of one interval are added up before they are rounded, so
-- an agent that restarts again and again owes no less than one that runs on.
create or replace function results_due(since timestamptz, until timestamptz)
    returns table (agent_id integer, monitor text, due bigint)
    language sql stable parallel safe
begin atomic
    select d.agent_id, d.monitor, sum(floor(d.slots + 0.000001))::bigint
    from (
        select s.agent_id, s.monitor, s.interval_ms,
               sum(greatest(
                   0,
                   extract(epoch from least(s.ends, results_due.until) - greatest(s.begins, results_due.since)) * 1000
                   / s.interval_ms
               )) as slots
        from schedule_spans(results_due.since, results_due.until) s
        where coalesce(s.ends > results_due.since, true)
        group by 1, 2, 3
    ) d
    group by 1, 2;
end;
