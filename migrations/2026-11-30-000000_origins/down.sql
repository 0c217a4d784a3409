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
