-- What is asked for one monitor is looked for as what one monitor has.

-- As before; and what is said of each monitor is said once more of all, so that a partition of another day is left out
-- before it is opened.
create or replace function aggregate_results(monitors integer[], since timestamptz[], until timestamptz[])
    returns setof hourly
    language plpgsql stable parallel safe
    set jit = off
    set enable_seqscan = off
    set plan_cache_mode = force_generic_plan
    set search_path from current
as $$
#variable_conflict use_column
declare
    earliest timestamptz := (select min(t) from unnest(aggregate_results.since) t);
    latest timestamptz := (select max(t) from unnest(aggregate_results.until) t);
begin
    return query
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
        from unnest(aggregate_results.monitors, aggregate_results.since, aggregate_results.until) p(monitor_id, since, until)
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
                  and s.checked_at >= earliest and s.checked_at < latest
            ) t
            group by 1, 2, 3
        ) r
    ) g
    -- After the aggregate: inside of it, every monitor would look through all epochs.
    join epochs e using (epoch_id)
    group by g.monitor_id, g.hour, e.agent_id;
end
$$;

-- Parameters are named in full: rollup_due has a column `since`.
create or replace function checks_by_day(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof daily
    language sql stable parallel safe
begin atomic
    with due as (
        select d.day, range_agg(m.monitors) as monitors
        from (
            select u.day, u.monitors from daily_due u where u.day >= checks_by_day.since and u.day <= checks_by_day.until - interval '1 day'
            union all
            select date_bin('1 day', r.hour, '1970-01-01 00:00:00Z'), r.monitors
            from rollup_due r where r.hour >= checks_by_day.since and r.hour < checks_by_day.until
        ) d
        cross join lateral unnest(d.monitors) m(monitors)
        where d.day >= checks_by_day.since and d.day <= checks_by_day.until - interval '1 day'
        group by d.day
    ),
    parts as (
        select d.day, d.monitors from due d
        where checks_by_day.monitors is null
           or exists (select from unnest(checks_by_day.monitors) a(monitor_id) where d.monitors @> a.monitor_id)
        union all
        select distinct e.day, '{(,)}'::int4multirange
        from (values (date_bin('1 day', checks_by_day.since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 day', checks_by_day.until, '1970-01-01 00:00:00Z'))) e(day)
        where e.day < checks_by_day.until and (e.day < checks_by_day.since or e.day > checks_by_day.until - interval '1 day')
    )
    select s.*
    from daily s left join due d on d.day = s.day
    where s.day >= checks_by_day.since and s.day <= checks_by_day.until - interval '1 day'
      and (checks_by_day.monitors is null or s.monitor_id = any (checks_by_day.monitors))
      and (d.day is null or not d.monitors @> s.monitor_id)
    union all
    -- The hours are asked for by the monitors that are asked for, which are known before the query is planned: by those
    -- of a part they would be found by the hour alone, all monitors' of a day.
    select h.*
    from parts p
    cross join lateral days_of_hours(
        greatest(p.day, checks_by_day.since), least(p.day + interval '1 day', checks_by_day.until), checks_by_day.monitors
    ) h
    where p.monitors @> h.monitor_id;
end;

-- What agents said should arrive, and for how long that held, by lists as they were said: what `schedule_spans` says, and
-- whoever asks for one monitor takes that one out of a list. Its plan is kept: it has many parts, and few rows.
create function schedule_lists(since timestamptz, until timestamptz)
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
