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
alter table summary_blocks alter column content set compression lz4;

-- The earliest check that a mark stands for; null where an older collector made it: any of the hour. So the begin of an
-- hour that goes on can be packed, too: what is marked from its `until` on is not in a block, all else is.
alter table rollup_due add column since timestamptz;

-- 512 monitors to a block.
create function summary_block(monitor_id integer) returns integer
    language sql immutable strict parallel safe
    return monitor_id / 512;

-- Whoever changes a summary, the block that it is in goes in the same transaction, and the day of an hour is due: what is
-- packed is never behind the rows. The lock is that of those who sum up and pack, so that nobody packs rows that are about
-- to change.
create function hourly_changed() returns trigger
    language plpgsql security definer
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema(), 70316262736));
    delete from summary_blocks b
    using (select distinct c.hour, summary_block(c.monitor_id) as block from changed c) gone
    where not b.is_day and b.begins = gone.hour and b.block = gone.block;
    if tg_op <> 'DELETE' then
        insert into daily_due (day, monitors)
        select date_bin('1 day', c.hour, '1970-01-01 00:00:00Z'), range_agg(int4range(c.monitor_id, c.monitor_id + 1))
        from changed c group by 1;
    end if;
    return null;
end
$$;

create function daily_changed() returns trigger
    language plpgsql security definer
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema(), 70316262736));
    delete from summary_blocks b
    using (select distinct c.day, summary_block(c.monitor_id) as block from changed c) gone
    where b.is_day and b.begins = gone.day and b.block = gone.block;
    return null;
end
$$;

-- A trigger that sees its rows is of one event.
create trigger inserted after insert on hourly referencing new table as changed
    for each statement execute function hourly_changed();
create trigger updated after update on hourly referencing new table as changed
    for each statement execute function hourly_changed();
create trigger deleted after delete on hourly referencing old table as changed
    for each statement execute function hourly_changed();
create trigger inserted after insert on daily referencing new table as changed
    for each statement execute function daily_changed();
create trigger updated after update on daily referencing new table as changed
    for each statement execute function daily_changed();
create trigger deleted after delete on daily referencing old table as changed
    for each statement execute function daily_changed();

-- They have the rights of the tables' owner, so that a collector of before needs none on the new table; and what they
-- name is what they name here, whatever the search_path of a session says.
do $$
begin
    execute format('alter function hourly_changed() set search_path = %I, pg_temp', current_schema());
    execute format('alter function daily_changed() set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function hourly_changed(), daily_changed() from public;

comment on table summary_blocks is 'The summaries of hours and days, packed for the status pages. Read hourly and daily instead.';
