-- Summaries of results by the hour and by the day, and what is needed to keep them true.

-- Hours that have results which no summary has. Rows are only inserted and have no key, so a mark and the results that it
-- stands for become visible together.
create table rollup_due (
    hour     timestamptz not null,
    monitors int4multirange not null,
    -- The earliest check that the mark stands for; null means any check of the hour. So the begin of an hour that has not
    -- ended can be packed: a block has everything but what is marked from the block's `until` on.
    since    timestamptz
);

-- One row per hour of a monitor by an agent. A row is always made whole from the results and is never added to. Results
-- that came since are marked in rollup_due.
create table hourly (
    monitor_id           integer not null,
    hour                 timestamptz not null,
    agent_id             integer not null,
    checks               integer not null,
    -- The number of checks with each outcome.
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
comment on table hourly is 'The results of each hour in short; what is newer is marked in rollup_due. Read it through checks_by_hour.';

-- The summary of a day, made of the rows of its hours. A row is never added to.
create table daily (
    monitor_id           integer not null,
    -- The first moment of the day, in UTC.
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
comment on table daily is 'The results of each day in short; what is newer is marked in daily_due. Read it through checks_by_day.';

-- Days that have hours which daily does not have yet. A mark becomes visible together with its hours.
create table daily_due (
    day      timestamptz not null,
    monitors int4multirange not null
);

-- Results that were stored long after their checks, by the hour of the checks. Rows are only inserted.
create table late_arrivals (
    hour        timestamptz not null,
    agent_id    integer not null,
    results     integer not null,
    received_at timestamptz not null default now()
);
create index late_arrivals_hour on late_arrivals (hour);
comment on table late_arrivals is 'Results that were stored long after their checks.';

-- Summaries as pages read them: the rows of an hour or a day, packed. The summaries of all monitors over three months are a
-- few hundred values to read, and not half a million rows.
create table summary_blocks (
    -- Whether the block is of a day.
    is_day    boolean not null,
    -- The first moment of the hour or the day.
    begins    timestamptz not null,
    -- The `summary_block` of its monitors.
    block     integer not null,
    -- The first moment that is not in the block. When the hour has not ended, it lies inside of the hour.
    until     timestamptz not null,
    packed_at timestamptz not null default now(),
    -- The format of the content. A block in a format that a collector does not know counts as absent.
    format    smallint not null,
    content   bytea not null,
    primary key (is_day, begins, block)
);
-- lz4 is quicker to unpack. Some servers are built without it.
do $$
begin
    alter table summary_blocks alter column content set compression lz4;
exception when feature_not_supported then null;
end
$$;
comment on table summary_blocks is 'The summaries of hours and days, packed for the status pages. Read hourly and daily instead.';

-- Days whose results were dropped with their partition, past the retention. When a result arrives for such a day later, the
-- summaries of the day as they were then are copied to dropped_hourly, and later results are added to them.
create table dropped_days (
    day      date primary key,
    has_base boolean not null default false
);
create table dropped_hourly (like hourly including all);
comment on table dropped_days is 'Days whose results were dropped, past the retention.';
comment on column dropped_days.has_base is 'whether what the summaries of the day were then is in dropped_hourly';
comment on table dropped_hourly is 'The part of summaries that is of results that were dropped.';
