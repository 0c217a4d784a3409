-- Partitions of results.

-- Creates the partition of a UTC day where it is absent, and returns whether it was absent. The function has the rights of the
-- tables' owner, so a collector's role needs no right to create, change or drop tables. It takes nothing but a day.
create or replace function make_results_partition(day date) returns boolean
    language plpgsql security definer
as $$
declare
    partition_name text := format('results_%s', to_char(day, 'YYYYMMDD'));
begin
    -- Collectors agree by the lock that is held while partitions are made or dropped.
    perform pg_advisory_xact_lock(70316262735);
    if exists (
        select from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'results'::regclass and c.relname = partition_name
    ) then
        return false;
    end if;
    -- A table that was left detached is attached again, with what is in it. So this uses `if not exists`.
    execute format('create table if not exists %I (like results including all)', partition_name);
    execute format(
        'alter table results attach partition %I for values from (%L) to (%L)', partition_name,
        to_char(day, 'YYYY-MM-DD') || ' 00:00:00Z', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00Z'
    );
    return true;
end
$$;

-- Names in a function that has the rights of the tables' owner mean the tables of this schema, whatever its caller's
-- search_path says.
do $$
begin
    execute format('alter function make_results_partition(date) set search_path = %I, pg_temp', current_schema());
end
$$;
revoke execute on function make_results_partition(date) from public;
