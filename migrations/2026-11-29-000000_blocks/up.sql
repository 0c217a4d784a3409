-- Summaries as pages read them: what hourly and daily have of an hour or a day, packed, so that what is shown of all
-- monitors over three months is a few hundred values to read and not half a million rows.

create table summary_blocks (
    -- Whether it is of a day.
    is_day    boolean not null,
    -- The first moment of the hour or the day.
    begins    timestamptz not null,
    -- Of the monitors whose `summary_block` this is.
    block     integer not null,
    -- The first moment that is not in it: of an hour that goes on, one in it.
    until     timestamptz not null,
    packed_at timestamptz not null default now(),
    -- How the content is written: collectors take what they don't know for absent.
    format    smallint not null,
    content   bytea not null,
    primary key (is_day, begins, block)
);
-- Quicker to unpack; not every server has it.
do $$
begin
    alter table summary_blocks alter column content set compression lz4;
exception when feature_not_supported then null;
end
$$;

-- The earliest check that a mark stands for; null where an older collector made it: any of the hour. So the begin of an
-- hour that goes on can be packed, too: what is marked from its `until` on is not in a block, all else is.
alter table rollup_due add column since timestamptz;

-- 512 monitors to a block.
create function summary_block(monitor_id integer) returns integer
    language sql immutable strict parallel safe
    return monitor_id / 512;

-- Whoever changes summaries first takes the lock of those who sum up and pack: they too have it before any row, so nobody
-- waits for the other, and nobody packs rows that are about to change.
create function summaries_change() returns trigger
    language plpgsql security definer
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema(), 70316262736));
    return null;
end
$$;

-- The blocks that summaries were in, and are in, go in the same transaction, and the day of an hour is due: what is packed
-- is never behind the rows.
create function summaries_changed() returns trigger
    language plpgsql security definer
as $$
declare
    of_days constant boolean := tg_table_name = 'daily';
    their_times timestamptz[];
    their_blocks integer[];
begin
    if tg_op = 'TRUNCATE' then
        delete from summary_blocks b where b.is_day = of_days;
        return null;
    end if;
    if of_days then
        select array_agg(g.day), array_agg(g.block) into their_times, their_blocks
        from (select distinct c.day, summary_block(c.monitor_id) as block from changed c) g;
    else
        select array_agg(g.hour), array_agg(g.block) into their_times, their_blocks
        from (select distinct c.hour, summary_block(c.monitor_id) as block from changed c) g;
        if tg_op <> 'DELETE' then
            insert into daily_due (day, monitors)
            select date_bin('1 day', c.hour, '1970-01-01 00:00:00Z'),
                   range_agg(int4range(c.monitor_id, c.monitor_id + 1))
            from changed c group by 1;
        end if;
    end if;
    -- Such a transaction doesn't see what was packed since it began. By this it fails where there is something, and can be
    -- tried again.
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        insert into summary_blocks (is_day, begins, block, until, format, content)
        select of_days, g.begins, g.block, g.begins, 0, '' from unnest(their_times, their_blocks) g(begins, block)
        on conflict do nothing;
    end if;
    delete from summary_blocks b
    using unnest(their_times, their_blocks) g(begins, block)
    where b.is_day = of_days and b.begins = g.begins and b.block = g.block;
    return null;
end
$$;

-- Of hours that go on, results are packed: what is changed or goes by hand is read again. What comes is marked instead.
create function results_changed() returns trigger
    language plpgsql security definer
as $$
begin
    -- As above.
    if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        insert into summary_blocks (is_day, begins, block, until, format, content)
        select false, h.hour, b.block, h.hour, 0, ''
        from generate_series(date_bin('1 hour', clock_timestamp() - interval '61 minutes', '1970-01-01 00:00:00Z'),
                             clock_timestamp(), interval '1 hour') h(hour),
             (select distinct summary_block(m.monitor_id) from monitors m) b(block)
        on conflict do nothing;
    end if;
    delete from summary_blocks b where not b.is_day and b.until < b.begins + interval '1 hour';
    return null;
end
$$;

create trigger changing before insert or update or delete or truncate on hourly
    for each statement execute function summaries_change();
create trigger changing before insert or update or delete or truncate on daily
    for each statement execute function summaries_change();
-- A trigger that sees its rows is of one event. An update may move rows from one block to another.
create trigger inserted after insert on hourly referencing new table as changed
    for each statement execute function summaries_changed();
create trigger updated after update on hourly referencing new table as changed
    for each statement execute function summaries_changed();
create trigger moved after update on hourly referencing old table as changed
    for each statement execute function summaries_changed();
create trigger deleted after delete on hourly referencing old table as changed
    for each statement execute function summaries_changed();
create trigger truncated after truncate on hourly
    for each statement execute function summaries_changed();
create trigger inserted after insert on daily referencing new table as changed
    for each statement execute function summaries_changed();
create trigger updated after update on daily referencing new table as changed
    for each statement execute function summaries_changed();
create trigger moved after update on daily referencing old table as changed
    for each statement execute function summaries_changed();
create trigger deleted after delete on daily referencing old table as changed
    for each statement execute function summaries_changed();
create trigger truncated after truncate on daily
    for each statement execute function summaries_changed();
create trigger changing before update or delete or truncate on results
    for each statement execute function summaries_change();
create trigger changed after update or delete or truncate on results
    for each statement execute function results_changed();

-- They have the rights of the tables' owner, so that a collector of before needs none on the new table; and what they
-- name is what they name here, whatever the search_path of a session says.
do $$
begin
    execute format('alter function summaries_change() set search_path = %I, pg_temp', current_schema());
    execute format('alter function summaries_changed() set search_path = %I, pg_temp', current_schema());
    execute format('alter function results_changed() set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function summaries_change(), summaries_changed(), results_changed() from public;

-- As before, but of the hours only those are looked at whose day has a failure, or is not whole yet: the rows of one monitor
-- lie far apart, an hour from the next.
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
    with days as (
        select d.monitor_id, d.day
        from daily d
        where d.day > outages.since - interval '24 hours' and d.day < outages.until
          and d.checks - d.success - d.agent_error > 0
          and (outages.monitors is null or d.monitor_id = any (outages.monitors))
        union
        select m.monitor_id, u.day
        from daily_due u cross join lateral unnest(u.monitors) r(ids)
        join monitors m on m.monitor_id >= lower(r.ids) and m.monitor_id < upper(r.ids)
        where u.day > outages.since - interval '24 hours' and u.day < outages.until
          and (outages.monitors is null or m.monitor_id = any (outages.monitors))
    ),
    looked_into as (
        select d.monitor_id, h.hour
        from days d
        -- Day by day: a join would read the hours of all monitors.
        cross join lateral (
            select i.hour
            from hourly i
            where i.monitor_id = d.monitor_id and i.hour >= d.day and i.hour < d.day + interval '24 hours'
              and i.hour >= outages.since and i.hour <= outages.until - interval '1 hour'
              and i.checks - i.success - i.agent_error > 0
            offset 0
        ) h
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

comment on table summary_blocks is 'The summaries of hours and days, packed for the status pages. Read hourly and daily instead.';
