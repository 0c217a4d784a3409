-- What people are shown: long windows without a look at every hour, when data came late, tags, and what agents report.

-- The summary of a day, as hourly has that of an hour: made afresh of its hours, never a sum that is added to.
create table daily (
    monitor_id           integer not null,
    -- Its first moment, in UTC.
    day                  timestamptz not null,
    agent_id             integer not null,
    checks               integer not null,
    success              integer not null,
    agent_error          integer not null,
    answered             integer not null,
    response_time_sum_us bigint not null,
    response_time_max_us bigint,
    response_times       integer[] not null,
    primary key (monitor_id, day, agent_id)
) with (fillfactor = 80);
create index daily_day on daily using brin (day) with (pages_per_range = 16);

-- Which days have hours that daily doesn't have yet: a mark becomes visible together with its hours.
create table daily_due (
    day      timestamptz not null,
    monitors int4multirange not null
);
insert into daily_due
select date_bin('1 day', h.hour, '1970-01-01 00:00:00Z'), range_agg(int4range(h.monitor_id, h.monitor_id + 1))
from hourly h group by 1;

-- Results that were stored long after their checks, by the hour of the checks. Insert-only.
create table late_arrivals (
    hour        timestamptz not null,
    agent_id    integer not null,
    results     integer not null,
    received_at timestamptz not null default now()
);
create index late_arrivals_hour on late_arrivals (hour);

-- Their tags, in the order of the monitors, where some have any.
alter table schedules add column tags jsonb[];

-- Of the latest report: outbox_bytes, missed, clock, faults.
alter table agents add column report jsonb not null default '{}';

-- As before, but planned once in a session: to plan for the partitions of three months takes longer than what most ask
-- for. A parameter's names stand for columns, too.
create or replace function aggregate_results(monitors integer[], since timestamptz[], until timestamptz[])
    returns setof hourly
    language plpgsql stable parallel safe
    set jit = off
    set enable_seqscan = off
    set plan_cache_mode = force_generic_plan
    set search_path from current
as $$
#variable_conflict use_column
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
            ) t
            group by 1, 2, 3
        ) r
    ) g
    -- After the aggregate: inside of it, every monitor would look through all epochs.
    join epochs e using (epoch_id)
    group by g.monitor_id, g.hour, e.agent_id;
end
$$;

-- As before, but the window is said once more of the results alone, so that no other partitions are planned for: of one
-- monitor in a day that took most of the time.
create or replace function outages(since timestamptz, until timestamptz, monitors integer[] default null)
    returns table (
        monitor_id integer, agent_id integer, began timestamptz, ended timestamptz, failures bigint,
        outcome text, status_code smallint, error text
    )
    language plpgsql stable parallel safe
    set jit = off
    set plan_cache_mode = force_custom_plan
    set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    with looked_into as (
        select h.monitor_id, h.hour
        from hourly h
        where h.hour >= outages.since and h.hour <= outages.until - interval '1 hour'
          and h.checks - h.success - h.agent_error > 0
          and (outages.monitors is null or h.monitor_id = any (outages.monitors))
        union
        select m.monitor_id, d.hour
        from (
            select u.hour, range_agg(r.monitors) as monitors
            from rollup_due u cross join lateral unnest(u.monitors) r(monitors)
            where u.hour >= outages.since and u.hour <= outages.until - interval '1 hour'
            group by u.hour
        ) d
        join monitors m on d.monitors @> m.monitor_id
        where outages.monitors is null or m.monitor_id = any (outages.monitors)
        union
        select m.monitor_id, c.hour
        from (values (date_bin('1 hour', outages.since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 hour', outages.until, '1970-01-01 00:00:00Z'))) c(hour)
        cross join monitors m
        where c.hour < outages.until and (c.hour < outages.since or c.hour > outages.until - interval '1 hour')
          and (outages.monitors is null or m.monitor_id = any (outages.monitors))
    ),
    moments as (
        select l.monitor_id, e.agent_id, l.hour, r.checked_at, r.epoch_id, r.seq, r.outcome = 'success' as is_up,
               r.outcome, r.status_code, r.error
        from looked_into l
        cross join lateral (
            select s.* from results s
            where s.monitor_id = l.monitor_id and s.checked_at >= greatest(l.hour, outages.since)
              and s.checked_at < least(l.hour + interval '1 hour', outages.until) and s.outcome <> 'agent_error'
              and s.checked_at >= outages.since and s.checked_at < outages.until
            offset 0
        ) r
        join epochs e using (epoch_id)
    ),
    followed as (
        select m.*,
               lead(m.is_up) over one as next_is_up,
               lead(m.checked_at) over one as next_at,
               lead(m.hour) over one as next_hour
        from moments m
        window one as (partition by m.monitor_id, m.agent_id order by m.checked_at, m.epoch_id, m.seq)
    ),
    -- A failure ends its outage when a success is next.
    ending as (
        select f.*, c.hour as clean_hour, f.is_up or coalesce(f.next_is_up, false) or c.hour is not null as is_end
        from followed f
        left join lateral (
            select min(h.hour) as hour
            from hourly h
            where h.monitor_id = f.monitor_id and h.agent_id = f.agent_id and h.success > 0
              and h.hour > f.hour and h.hour < coalesce(f.next_hour, outages.until)
              and h.hour <= outages.until - interval '1 hour'
        ) c on not f.is_up and f.next_hour is distinct from f.hour
    ),
    numbered as (
        select n.*,
               count(*) filter (where n.is_end) over (
                   partition by n.monitor_id, n.agent_id order by n.checked_at, n.epoch_id, n.seq
                   rows between unbounded preceding and 1 preceding
               ) as run
        from ending n
    ),
    summed as (
        select n.monitor_id, n.agent_id,
               min(n.checked_at) as began,
               min(n.clean_hour) as clean_hour,
               min(n.next_at) filter (where n.next_is_up) as up_at,
               count(*) as failures,
               (array_agg(n.outcome order by n.checked_at, n.epoch_id, n.seq))[1] as outcome,
               (array_agg(n.status_code order by n.checked_at, n.epoch_id, n.seq))[1] as status_code,
               (array_agg(n.error order by n.checked_at, n.epoch_id, n.seq))[1] as error
        from numbered n
        where not n.is_up
        group by n.monitor_id, n.agent_id, n.run
    )
    select s.monitor_id, s.agent_id, s.began,
           case when s.clean_hour is null then s.up_at else coalesce((
               select min(r.checked_at)
               from results r join epochs o using (epoch_id)
               where r.monitor_id = s.monitor_id and o.agent_id = s.agent_id and r.outcome = 'success'
                 and r.checked_at >= s.clean_hour and r.checked_at < s.clean_hour + interval '1 hour'
                 and r.checked_at >= outages.since and r.checked_at < outages.until
           ), s.clean_hour) end,
           s.failures, s.outcome, s.status_code, s.error
    from summed s;
end
$$;

-- Days made of hours.
create function days_of_hours(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof daily
    language sql stable parallel safe
begin atomic
    select h.monitor_id, date_bin('1 day', h.hour, '1970-01-01 00:00:00Z'), h.agent_id,
           sum(h.checks)::integer, sum(h.success)::integer, sum(h.agent_error)::integer, sum(h.answered)::integer,
           sum(h.response_time_sum_us)::bigint, max(h.response_time_max_us),
           array[
               sum(h.response_times[1]), sum(h.response_times[2]), sum(h.response_times[3]), sum(h.response_times[4]),
               sum(h.response_times[5]), sum(h.response_times[6]), sum(h.response_times[7]), sum(h.response_times[8]),
               sum(h.response_times[9]), sum(h.response_times[10]), sum(h.response_times[11]), sum(h.response_times[12]),
               sum(h.response_times[13]), sum(h.response_times[14]), sum(h.response_times[15]), sum(h.response_times[16]),
               sum(h.response_times[17]), sum(h.response_times[18]), sum(h.response_times[19]), sum(h.response_times[20]),
               sum(h.response_times[21]), sum(h.response_times[22]), sum(h.response_times[23]), sum(h.response_times[24])
           ]::integer[]
    from checks_by_hour(since, until, monitors) h
    group by 1, 2, 3;
end;

-- The rows of daily as they are once nothing is due any more, of all monitors or of some; days that the window cuts are
-- of the part inside. Days are UTC's.
create function checks_by_day(since timestamptz, until timestamptz, monitors integer[] default null)
    returns setof daily
    language sql stable parallel safe
begin atomic
    with due as (
        select d.day, range_agg(m.monitors) as monitors
        from (
            select u.day, u.monitors from daily_due u where u.day >= since and u.day <= until - interval '1 day'
            union all
            select date_bin('1 day', r.hour, '1970-01-01 00:00:00Z'), r.monitors
            from rollup_due r where r.hour >= since and r.hour < until
        ) d
        cross join lateral unnest(d.monitors) m(monitors)
        where d.day >= since and d.day <= until - interval '1 day'
        group by d.day
    ),
    cut as (
        select distinct e.day
        from (values (date_bin('1 day', since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 day', until, '1970-01-01 00:00:00Z'))) e(day)
        where e.day < until and (e.day < since or e.day > until - interval '1 day')
    ),
    asked as (
        select m.monitor_id from monitors m
        where checks_by_day.monitors is null or m.monitor_id = any (checks_by_day.monitors)
    ),
    parts as (
        select d.day, array_agg(a.monitor_id) as monitors from due d join asked a on d.monitors @> a.monitor_id
        group by d.day
        union all
        select c.day, array_agg(a.monitor_id) from cut c cross join asked a group by c.day
    )
    select s.*
    from daily s left join due d on d.day = s.day
    where s.day >= since and s.day <= until - interval '1 day'
      and (checks_by_day.monitors is null or s.monitor_id = any (checks_by_day.monitors))
      and (d.day is null or not d.monitors @> s.monitor_id)
    union all
    select h.*
    from parts p
    cross join lateral days_of_hours(
        greatest(p.day, checks_by_day.since), least(p.day + interval '1 day', checks_by_day.until), p.monitors
    ) h;
end;

-- What agents said should arrive, and for how long that held: up to the agent's next schedule or its clean stop. One
-- that has not ended has no `ends`. Where a stop ended it, `resumes` is the agent's next schedule, if there is one.
create function schedule_spans(since timestamptz, until timestamptz)
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

-- The same, in fewer words.
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

comment on table daily is 'The results of each day in short; what is newer is marked in daily_due. Read it through checks_by_day.';
comment on table late_arrivals is 'Results that were stored long after their checks.';
