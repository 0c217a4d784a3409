-- `aggregate_results` and `checks_by_day` say the same in their newer words, and stay.
create or replace function schedule_spans(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitor text, interval_ms bigint, tags jsonb,
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language sql stable parallel safe
begin atomic
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
    followed as (
        select e.agent_id, l.*, e.ended_at as stopped, e.reported_at,
               lead(l.begins) over (partition by e.agent_id order by l.begins, l.epoch_id, l.list) as next_begins
        from lists l join epochs e using (epoch_id)
    ),
    ended as (
        select f.*, least(f.next_begins, r.since) as resumes
        from followed f
        left join lateral (
            select min(g.since) as since
            from retirements g
            where g.agent_id = f.agent_id and g.said_at > f.begins and coalesce(f.reported_at <= g.said_at, true)
        ) r on true
        where f.begins < schedule_spans.until and coalesce(f.next_begins > schedule_spans.since, true)
    ),
    held as materialized (
        select n.agent_id, n.begins, n.stopped, n.resumes, s.monitors, s.intervals_ms, s.tags
        from ended n
        join schedules s on s.epoch_id = n.epoch_id and s.seq between n.first_seq and n.last_seq
        where coalesce(n.resumes > greatest(n.begins, schedule_spans.since), true)
    )
    select distinct h.agent_id, d.monitor, d.interval_ms, coalesce(d.tags, '{}'), h.begins, least(h.stopped, h.resumes),
           coalesce(h.stopped < h.resumes, h.stopped is not null),
           case when h.stopped is not null then h.resumes end
    from held h
    cross join lateral unnest(h.monitors, h.intervals_ms, h.tags) d(monitor, interval_ms, tags);
end;

drop function schedule_lists(timestamptz, timestamptz);
