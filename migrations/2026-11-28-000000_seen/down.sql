-- `aggregate_results` and `outages` say the same in their newer words, and stay.
create or replace function results_due(since timestamptz, until timestamptz)
    returns table (agent_id integer, monitor text, due bigint)
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
        select n.agent_id, n.epoch_id, n.list, min(n.at) as begins,
               least(lead(min(n.at)) over (partition by n.agent_id order by min(n.at), n.epoch_id, n.list),
                     max(n.ended_at)) as ends
        from numbered n group by 1, 2, 3
    ),
    due as (
        select distinct l.agent_id, l.epoch_id, l.list, d.monitor, d.interval_ms,
               greatest(l.begins, results_due.since) as begins,
               least(l.ends, results_due.until) as ends
        from lists l
        join numbered n using (epoch_id, list)
        cross join lateral unnest(n.monitors, n.intervals_ms) d(monitor, interval_ms)
        where l.begins < results_due.until and coalesce(l.ends > results_due.since, true)
    )
    select d.agent_id, d.monitor,
           sum(greatest(0, floor(extract(epoch from d.ends - d.begins) * 1000 / d.interval_ms)))::bigint
    from due d
    group by 1, 2;
end;

drop function schedule_spans(timestamptz, timestamptz);
drop function checks_by_day(timestamptz, timestamptz, integer[]);
drop function days_of_hours(timestamptz, timestamptz, integer[]);
alter table agents drop column report;
alter table schedules drop column tags;
drop table late_arrivals;
drop table daily_due;
drop table daily;
