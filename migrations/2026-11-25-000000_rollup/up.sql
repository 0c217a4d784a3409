-- Summaries of the results by the hour, and functions that read them together with what they don't have yet.

-- One row per hour of a monitor by an agent: always the whole truth about its results when it was made, never a sum
-- that is added to. What came since is marked in rollup_due.
create table hourly (
    monitor_id           integer not null,
    hour                 timestamptz not null,
    agent_id             integer not null,
    checks               integer not null,
    -- How many of them came to which outcome.
    success              integer not null,
    dns_error            integer not null,
    connection_refused   integer not null,
    connection_failed    integer not null,
    tls_error            integer not null,
    certificate_error    integer not null,
    timeout              integer not null,
    connection_closed    integer not null,
    protocol_error       integer not null,
    redirect_error       integer not null,
    status_mismatch      integer not null,
    body_error           integer not null,
    pattern_mismatch     integer not null,
    too_slow             integer not null,
    certificate_expiring integer not null,
    agent_error          integer not null,
    -- The response times of the checks that got a whole answer: how many, sum, longest, and how many in each bucket.
    answered             integer not null,
    response_time_sum_us bigint not null,
    response_time_max_us bigint,
    response_times       integer[] not null,
    primary key (monitor_id, hour, agent_id)
) with (fillfactor = 80);
create index hourly_hour on hourly using brin (hour) with (pages_per_range = 16);

-- What an agent said at its start, or when it read its configuration anew, should arrive from then on.
create table schedules (
    epoch_id     integer not null,
    seq          bigint not null,
    -- By the agent's clock.
    at           timestamptz not null,
    event        text not null,
    revision     text not null,
    -- A long list is in several rows of the same event and revision.
    monitors     text[] not null,
    intervals_ms bigint[] not null,
    primary key (epoch_id, seq)
);

-- Where the 24 buckets of response times meet: five to a decade, from 1 ms to 25 s.
create function response_time_bounds() returns bigint[]
    language sql immutable parallel safe
    return array[
        1000, 1600, 2500, 4000, 6300,
        10000, 16000, 25000, 40000, 63000,
        100000, 160000, 250000, 400000, 630000,
        1000000, 1600000, 2500000, 4000000, 6300000,
        10000000, 16000000, 25000000
    ]::bigint[];

-- From 1 (below 1 ms) to 24 (25 s and more); a bound belongs to the bucket above it.
create function response_time_bucket(us bigint) returns integer
    language sql immutable parallel safe
    return width_bucket(us, response_time_bounds()) + 1;

-- The time below which this fraction of the response times lies, in microseconds: exact to its bucket, within that
-- by logarithmic interpolation, and never above the longest.
create function response_time_percentile(response_times bigint[], longest_us bigint, fraction double precision)
    returns double precision
    language sql immutable strict parallel safe
begin atomic
    select case b.low when 0 then b.high * b.part else b.low * power(b.high / b.low, b.part) end
    from (
        select s.bucket,
               coalesce((response_time_bounds())[s.bucket - 1], 0)::double precision as low,
               least((response_time_bounds())[s.bucket], longest_us)::double precision as high,
               greatest(s.rank - s.before, 0) / s.n as part
        from (
            select t.bucket::integer as bucket,
                   t.n::double precision as n,
                   (sum(t.n) over (order by t.bucket) - t.n)::double precision as before,
                   sum(t.n) over ()::double precision * least(greatest(fraction, 0), 1) as rank
            from unnest(response_times) with ordinality t(n, bucket)
        ) s
        where s.n > 0 and s.rank <= s.before + s.n
        order by s.bucket limit 1
    ) b;
end;

-- Summaries made afresh from results: of each monitor from its time to its time, which lie within one hour.
create function aggregate_results(monitors integer[], since timestamptz[], until timestamptz[]) returns setof hourly
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

-- The rows of hourly as they are once nothing is due any more; hours that the window cuts are of the part inside.
create function checks_by_hour(since timestamptz, until timestamptz) returns setof hourly
    language sql stable parallel safe
begin atomic
    with due as (
        select d.hour, range_agg(m.monitors) as monitors
        from rollup_due d cross join lateral unnest(d.monitors) m(monitors)
        where d.hour >= since and d.hour <= until - interval '1 hour'
        group by d.hour
    ),
    cut as (
        select distinct e.hour
        from (values (date_bin('1 hour', since, '1970-01-01 00:00:00Z')),
                     (date_bin('1 hour', until, '1970-01-01 00:00:00Z'))) e(hour)
        where e.hour < until and (e.hour < since or e.hour > until - interval '1 hour')
    ),
    parts as (
        select m.monitor_id, d.hour from due d join monitors m on d.monitors @> m.monitor_id
        union all
        select m.monitor_id, c.hour from cut c cross join monitors m
    )
    select h.*
    from hourly h left join due d on d.hour = h.hour
    where h.hour >= since and h.hour <= until - interval '1 hour'
      and (d.hour is null or not d.monitors @> h.monitor_id)
    union all
    select a.*
    from (
        select array_agg(p.monitor_id) as monitors,
               array_agg(greatest(p.hour, checks_by_hour.since)) as since,
               array_agg(least(p.hour + interval '1 hour', checks_by_hour.until)) as until
        from parts p
    ) f
    cross join lateral aggregate_results(f.monitors, f.since, f.until) a;
end;

-- What share of the checks succeeded, of those that say something about the site, and how long answers took. One row
-- per monitor, or per monitor and agent; of all agents, or of some.
create function uptime(
    since timestamptz, until timestamptz, by_agent boolean default false, agents integer[] default null
)
    returns table (
        monitor_id integer, agent_id integer, checks bigint, success bigint, agent_error bigint,
        uptime double precision, answered bigint,
        mean_us double precision, p50_us double precision, p95_us double precision, p99_us double precision,
        max_us bigint
    )
    language sql stable parallel safe
begin atomic
    select s.monitor_id, s.agent_id, s.checks, s.success, s.agent_error,
           s.success::double precision / nullif(s.checks - s.agent_error, 0),
           s.answered,
           s.sum_us / nullif(s.answered, 0)::double precision,
           response_time_percentile(s.response_times, s.max_us, 0.5),
           response_time_percentile(s.response_times, s.max_us, 0.95),
           response_time_percentile(s.response_times, s.max_us, 0.99),
           s.max_us
    from (
        select h.monitor_id, case when by_agent then h.agent_id end as agent_id,
               sum(h.checks) as checks, sum(h.success) as success, sum(h.agent_error) as agent_error,
               sum(h.answered) as answered, sum(h.response_time_sum_us)::double precision as sum_us,
               max(h.response_time_max_us) as max_us,
               array[
                   sum(h.response_times[1]), sum(h.response_times[2]), sum(h.response_times[3]), sum(h.response_times[4]),
                   sum(h.response_times[5]), sum(h.response_times[6]), sum(h.response_times[7]), sum(h.response_times[8]),
                   sum(h.response_times[9]), sum(h.response_times[10]), sum(h.response_times[11]), sum(h.response_times[12]),
                   sum(h.response_times[13]), sum(h.response_times[14]), sum(h.response_times[15]), sum(h.response_times[16]),
                   sum(h.response_times[17]), sum(h.response_times[18]), sum(h.response_times[19]), sum(h.response_times[20]),
                   sum(h.response_times[21]), sum(h.response_times[22]), sum(h.response_times[23]), sum(h.response_times[24])
               ] as response_times
        from checks_by_hour(since, until) h
        where agents is null or h.agent_id = any (agents)
        group by 1, 2
    ) s;
end;

-- Failures of a monitor in a row as one agent saw them, from the first one to the next success, within the window.
-- The agent's own trouble neither begins nor ends one.
create function outages(since timestamptz, until timestamptz, monitors integer[] default null)
    returns table (
        monitor_id integer, agent_id integer, began timestamptz, ended timestamptz, failures bigint,
        outcome text, status_code smallint, error text
    )
    language sql stable parallel safe
begin atomic
    with hours as materialized (
        select h.monitor_id, h.agent_id, h.hour, h.success, h.checks - h.success - h.agent_error as failures
        from checks_by_hour(since, until) h
        where outages.monitors is null or h.monitor_id = any (outages.monitors)
    ),
    failing as materialized (
        select distinct f.monitor_id, f.hour from hours f where f.failures > 0
    ),
    moments as (
        select r.monitor_id, e.agent_id, r.checked_at, r.epoch_id, r.seq, r.outcome = 'success' as is_up,
               false as is_hour, r.outcome, r.status_code, r.error
        from failing f
        cross join lateral (
            select s.* from results s
            where s.monitor_id = f.monitor_id and s.checked_at >= greatest(f.hour, outages.since)
              and s.checked_at < least(f.hour + interval '1 hour', outages.until) and s.outcome <> 'agent_error'
            offset 0
        ) r
        join epochs e using (epoch_id)
        union all
        -- Of an hour without failures it is enough to know that there was a success.
        select h.monitor_id, h.agent_id, h.hour, 0, 0, true, true, null, null, null
        from hours h
        where h.failures = 0 and h.success > 0
          and not exists (select from failing f where f.monitor_id = h.monitor_id and f.hour = h.hour)
    ),
    -- A run is a success and the failures after it.
    runs as (
        select m.*,
               count(*) filter (where m.is_up) over (
                   partition by m.monitor_id, m.agent_id order by m.checked_at, m.epoch_id, m.seq
                   rows unbounded preceding
               ) as run
        from moments m
    ),
    summed as (
        select r.monitor_id, r.agent_id, r.run,
               min(r.checked_at) filter (where r.is_up) as up_at,
               bool_or(r.is_hour) as is_hour,
               min(r.checked_at) filter (where not r.is_up) as began,
               count(*) filter (where not r.is_up) as failures,
               (array_agg(r.outcome order by r.checked_at, r.epoch_id, r.seq) filter (where not r.is_up))[1] as outcome,
               (array_agg(r.status_code order by r.checked_at, r.epoch_id, r.seq) filter (where not r.is_up))[1]
                   as status_code,
               (array_agg(r.error order by r.checked_at, r.epoch_id, r.seq) filter (where not r.is_up))[1] as error
        from runs r group by 1, 2, 3
    ),
    ended as (
        select s.*,
               lead(s.up_at) over following as next_up,
               lead(s.is_hour) over following as in_hour
        from summed s
        window following as (partition by s.monitor_id, s.agent_id order by s.run)
    )
    select e.monitor_id, e.agent_id, e.began,
           case when e.in_hour then coalesce((
               select min(r.checked_at)
               from results r join epochs o using (epoch_id)
               where r.monitor_id = e.monitor_id and o.agent_id = e.agent_id and r.outcome = 'success'
                 and r.checked_at >= greatest(e.next_up, outages.since)
                 and r.checked_at < e.next_up + interval '1 hour'
           ), e.next_up) else e.next_up end,
           e.failures, e.outcome, e.status_code, e.error
    from ended e
    where e.failures > 0;
end;

-- How many results of a monitor, by its id, were due from an agent, as far as its reports tell. A schedule holds until
-- the agent's next one or its clean stop.
create function results_due(since timestamptz, until timestamptz)
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

comment on table hourly is 'The results of each hour in short; what is newer is marked in rollup_due. Read it through checks_by_hour.';
comment on table schedules is 'What agents said should arrive.';
