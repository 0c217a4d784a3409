create or replace function schedule_spans(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitor text, interval_ms bigint, tags jsonb,
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language sql stable parallel safe
begin atomic
    with marked as (
        select s.*, e.agent_id, e.ended_at,
               (s.event, s.revision) is distinct from
                   (lag(s.event) over of_epoch, lag(s.revision) over of_epoch) as is_new
        from schedules s join epochs e using (epoch_id)
        window of_epoch as (partition by s.epoch_id order by s.seq)
    ),
    numbered as (
        select m.*, count(*) filter (where m.is_new) over (
                   partition by m.epoch_id order by m.seq rows unbounded preceding
               ) as list
        from marked m
    ),
    lists as (
        select n.agent_id, n.epoch_id, n.list, min(n.at) as begins, max(n.ended_at) as stopped,
               lead(min(n.at)) over (partition by n.agent_id order by min(n.at), n.epoch_id, n.list) as resumes
        from numbered n group by 1, 2, 3
    )
    select distinct l.agent_id, d.monitor, d.interval_ms, coalesce(d.tags, '{}'), l.begins, least(l.stopped, l.resumes),
           coalesce(l.stopped < l.resumes, l.stopped is not null),
           case when l.stopped is not null then l.resumes end
    from lists l
    join numbered n using (epoch_id, list)
    cross join lateral unnest(n.monitors, n.intervals_ms, n.tags) d(monitor, interval_ms, tags)
    where l.begins < schedule_spans.until
      and (l.stopped is not null and coalesce(l.resumes > schedule_spans.since, true)
           or coalesce(least(l.stopped, l.resumes) > schedule_spans.since, true));
end;

drop function retired_agents();
drop table retirements;
