-- Of hours that go on, results are packed: what is changed or goes by hand is read again. What comes is marked instead.
create function results_changed() returns trigger
    language plpgsql security definer
as $$
begin
    -- As with summaries: a transaction that can't see what was packed since it began fails, to be tried again.
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

create trigger changing before update or delete or truncate on results
    for each statement execute function summaries_change();
create trigger changed after update or delete or truncate on results
    for each statement execute function results_changed();

-- It has the rights of the tables' owner, and what it names is what it names here, whatever the search_path of a session
-- says.
do $$
begin
    execute format('alter function results_changed() set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function results_changed() from public;
