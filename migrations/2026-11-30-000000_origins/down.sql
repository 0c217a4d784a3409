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

create or replace function retired_agents()
    returns table (agent_id integer, since timestamptz)
    language sql stable parallel safe
begin atomic
    select distinct on (r.agent_id) r.agent_id, r.since
    from retirements r join agents a using (agent_id)
    where coalesce(a.last_report <= r.said_at, true)
    order by r.agent_id, r.said_at desc;
end;

alter table agents drop column heard_at, drop column run;
alter table epochs drop column returned_at, drop column returns, drop column prompt_report_at, drop column took_over_at;

create or replace function results_due(since timestamptz, until timestamptz)
    returns table (agent_id integer, monitor text, due bigint)
    language sql stable parallel safe
begin atomic
    select s.agent_id, s.monitor,
           sum(greatest(0, floor(
               extract(epoch from least(s.ends, results_due.until) - greatest(s.begins, results_due.since)) * 1000
               / s.interval_ms
           )))::bigint
    from schedule_spans(results_due.since, results_due.until) s
    where coalesce(s.ends > results_due.since, true)
    group by 1, 2;
end;

drop table dropped_hourly;
drop table dropped_days;
alter table epochs drop column first_heard_at, drop column heard_at;
alter table epochs drop column is_named;
drop table positions;
drop table identity;
