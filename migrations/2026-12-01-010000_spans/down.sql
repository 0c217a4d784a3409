-- What was said, list by list.
create or replace function schedule_spans(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitor text, interval_ms bigint, tags jsonb,
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language sql stable parallel safe
begin atomic
    select distinct l.agent_id, d.monitor, d.interval_ms, coalesce(d.tags, '{}'), l.begins, l.ends, l.is_stopped, l.resumes
    from schedule_lists(schedule_spans.since, schedule_spans.until) l
    cross join lateral unnest(l.monitors, l.intervals_ms, l.tags) d(monitor, interval_ms, tags);
end;

drop function list_changes;
drop aggregate concatenated(anycompatiblearray);
