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

-- They have the rights of the tables' owner, so that a collector of before needs none on the new table; and what they
-- name is what they name here, whatever the search_path of a session says.
do $$
begin
    execute format('alter function summaries_change() set search_path = %I, pg_temp', current_schema());
    execute format('alter function summaries_changed() set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function summaries_change(), summaries_changed() from public;

comment on table summary_blocks is 'The summaries of hours and days, packed for the status pages. Read hourly and daily instead.';
