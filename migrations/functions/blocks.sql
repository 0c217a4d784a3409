-- Blocks of summaries, which are deleted with the first change of one of their rows.

-- Returns the block of a monitor. A block has 512 monitors.
create or replace function summary_block(monitor_id integer) returns integer
    language sql immutable strict parallel safe
    return monitor_id / 512;

-- Takes the lock under which summaries are made and packed, before any row is locked. The makers of summaries take it before
-- any row as well, so no transaction waits for another one in a circle, and no rows are packed that are about to change.
create or replace function summaries_change() returns trigger
    language plpgsql security definer
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema(), 70316262736));
    return null;
end
$$;

-- Deletes the blocks of summaries that changed, in the same transaction, and marks the day of an hour as due. So a block is
-- never behind its rows.
create or replace function summaries_changed() returns trigger
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
    -- A transaction with this isolation does not see blocks that were packed since it began. The insert makes it fail
    -- where there is such a block, so that it can be tried again.
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

-- Deletes the blocks of hours that have not ended, after rows of results were changed or deleted by hand. New rows are marked
-- instead.
create or replace function results_changed() returns trigger
    language plpgsql security definer
as $$
begin
    -- A transaction that can't see what was packed since it began fails here, as with summaries, so that it can be
    -- tried again.
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

-- A trigger that sees the changed rows can have only one event. An update may move rows from one block to another.
create or replace trigger changing before insert or update or delete or truncate on hourly
    for each statement execute function summaries_change();
create or replace trigger inserted after insert on hourly referencing new table as changed
    for each statement execute function summaries_changed();
create or replace trigger updated after update on hourly referencing new table as changed
    for each statement execute function summaries_changed();
create or replace trigger moved after update on hourly referencing old table as changed
    for each statement execute function summaries_changed();
create or replace trigger deleted after delete on hourly referencing old table as changed
    for each statement execute function summaries_changed();
create or replace trigger truncated after truncate on hourly
    for each statement execute function summaries_changed();
create or replace trigger changing before insert or update or delete or truncate on daily
    for each statement execute function summaries_change();
create or replace trigger inserted after insert on daily referencing new table as changed
    for each statement execute function summaries_changed();
create or replace trigger updated after update on daily referencing new table as changed
    for each statement execute function summaries_changed();
create or replace trigger moved after update on daily referencing old table as changed
    for each statement execute function summaries_changed();
create or replace trigger deleted after delete on daily referencing old table as changed
    for each statement execute function summaries_changed();
create or replace trigger truncated after truncate on daily
    for each statement execute function summaries_changed();
create or replace trigger changing before update or delete or truncate on results
    for each statement execute function summaries_change();
create or replace trigger changed after update or delete or truncate on results
    for each statement execute function results_changed();

-- Names in a function that has the rights of the tables' owner mean the tables of this schema, whatever its caller's
-- search_path says.
do $$
begin
    execute format('alter function summaries_change() set search_path = %I, pg_temp', current_schema());
    execute format('alter function summaries_changed() set search_path = %I, pg_temp', current_schema());
    execute format('alter function results_changed() set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function summaries_change(), summaries_changed(), results_changed() from public;
