-- `outages` says the same in its newer words, and stays.
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

create or replace function aggregate_results(monitors integer[], since timestamptz[], until timestamptz[]) returns setof hourly
    language sql stable parallel safe
begin atomic
    select g.monitor_id, g.hour, e.agent_id,
           sum(g.n)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'success'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'dns_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'connection_refused'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'connection_failed'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'tls_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'certificate_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'timeout'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'connection_closed'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'protocol_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'redirect_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'status_mismatch'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'body_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'pattern_mismatch'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'too_slow'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'certificate_expiring'), 0)::integer,
           coalesce(sum(g.n) filter (where g.outcome = 'agent_error'), 0)::integer,
           coalesce(sum(g.n) filter (where g.bucket is not null), 0)::integer,
           coalesce(sum(g.sum_us), 0)::bigint,
           max(g.max_us),
           array[
               coalesce(sum(g.n) filter (where g.bucket = 1), 0),
               coalesce(sum(g.n) filter (where g.bucket = 2), 0),
               coalesce(sum(g.n) filter (where g.bucket = 3), 0),
               coalesce(sum(g.n) filter (where g.bucket = 4), 0),
               coalesce(sum(g.n) filter (where g.bucket = 5), 0),
               coalesce(sum(g.n) filter (where g.bucket = 6), 0),
               coalesce(sum(g.n) filter (where g.bucket = 7), 0),
               coalesce(sum(g.n) filter (where g.bucket = 8), 0),
               coalesce(sum(g.n) filter (where g.bucket = 9), 0),
               coalesce(sum(g.n) filter (where g.bucket = 10), 0),
               coalesce(sum(g.n) filter (where g.bucket = 11), 0),
               coalesce(sum(g.n) filter (where g.bucket = 12), 0),
               coalesce(sum(g.n) filter (where g.bucket = 13), 0),
               coalesce(sum(g.n) filter (where g.bucket = 14), 0),
               coalesce(sum(g.n) filter (where g.bucket = 15), 0),
               coalesce(sum(g.n) filter (where g.bucket = 16), 0),
               coalesce(sum(g.n) filter (where g.bucket = 17), 0),
               coalesce(sum(g.n) filter (where g.bucket = 18), 0),
               coalesce(sum(g.n) filter (where g.bucket = 19), 0),
               coalesce(sum(g.n) filter (where g.bucket = 20), 0),
               coalesce(sum(g.n) filter (where g.bucket = 21), 0),
               coalesce(sum(g.n) filter (where g.bucket = 22), 0),
               coalesce(sum(g.n) filter (where g.bucket = 23), 0),
               coalesce(sum(g.n) filter (where g.bucket = 24), 0)
           ]::integer[]
    from (
        select p.monitor_id, date_bin('1 hour', p.since, '1970-01-01 00:00:00Z') as hour,
               r.epoch_id, r.outcome, r.bucket, r.n, r.sum_us, r.max_us
        from unnest(monitors, since, until) p(monitor_id, since, until)
        cross join lateral (
            select t.epoch_id, t.outcome, response_time_bucket(t.us) as bucket,
                   count(*) as n, sum(t.us) as sum_us, max(t.us) as max_us
            from (
                select s.epoch_id, s.outcome,
                       case when s.outcome in ('success', 'status_mismatch', 'pattern_mismatch', 'too_slow',
                                               'certificate_expiring')
                            then s.response_time_us end as us
                from results s
                where s.monitor_id = p.monitor_id and s.checked_at >= p.since and s.checked_at < p.until
            ) t
            group by 1, 2, 3
        ) r
    ) g
    -- After the aggregate: inside of it, every monitor would look through all epochs.
    join epochs e using (epoch_id)
    group by g.monitor_id, g.hour, e.agent_id;
end;

drop function schedule_spans(timestamptz, timestamptz);
drop function checks_by_day(timestamptz, timestamptz, integer[]);
drop function days_of_hours(timestamptz, timestamptz, integer[]);
alter table agents drop column report;
alter table schedules drop column tags;
drop table late_arrivals;
drop table daily_due;
drop table daily;
