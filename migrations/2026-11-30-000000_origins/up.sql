-- What this database is, whatever server it is on: a copy and a backup of it are it, too. The consumer group that fills it
-- is marked with it, so that collectors of two databases do not share one group by mistake.
create table identity (
    is_only  boolean primary key default true check (is_only),
    database uuid not null default gen_random_uuid()
);
insert into identity default values;
comment on table identity is 'One row: what this database is.';

-- Up to where each partition of a topic is stored. It changes in the transaction of the rows, so it is true also after this
-- database was set back; Kafka's own committed offsets are not.
create table positions (
    topic        text not null,
    partition    integer not null,
    topic_id     text,
    next_offset  bigint not null default 0,
    leader_epoch integer,
    primary key (topic, partition)
) with (fillfactor = 50);
comment on table positions is 'Up to where each partition of a topic is stored.';
comment on column positions.topic_id is 'Kafka''s id of the topic; a topic that is deleted and made again has another one';
comment on column positions.next_offset is 'the offset from which the partition is read on';
comment on column positions.leader_epoch is 'Kafka''s leader epoch of the message before that; it tells whether the log was cut since';

-- An epoch that is known only since a later one names it belongs to that one's agent until its own records come: in between
-- the agent may have been renamed.
alter table epochs add column is_named boolean not null default true;
comment on column epochs.is_named is 'whether its own records have said whose it is';

-- When a run was heard of. Runs are in the order in which the database heard of them: the clocks of agents differ, and the
-- ids of epochs are given out also by what others say of them.
alter table epochs add column first_heard_at timestamptz, add column heard_at timestamptz;
comment on column epochs.first_heard_at is 'when its first report was stored; of those of one batch, in their order';
comment on column epochs.heard_at is 'when its latest report was stored';

-- What an agent's schedules have of slots of one interval is added up before it is rounded: one that begins again and again
-- owes no less than one that goes on.
create or replace function results_due(since timestamptz, until timestamptz)
    returns table (agent_id integer, monitor text, due bigint)
    language sql stable parallel safe
begin atomic
    select d.agent_id, d.monitor, sum(floor(d.slots + 0.000001))::bigint
    from (
        select s.agent_id, s.monitor, s.interval_ms,
               sum(greatest(
                   0,
                   extract(epoch from least(s.ends, results_due.until) - greatest(s.begins, results_due.since)) * 1000
                   / s.interval_ms
               )) as slots
        from schedule_spans(results_due.since, results_due.until) s
        where coalesce(s.ends > results_due.since, true)
        group by 1, 2, 3
    ) d
    group by 1, 2;
end;

-- Days of which results were dropped with their partition, past the retention. What comes for such a day later is added to
-- what its summaries were then, which is copied to dropped_hourly when the first of it comes.
create table dropped_days (
    day      date primary key,
    has_base boolean not null default false
);
create table dropped_hourly (like hourly including all);
comment on table dropped_days is 'Days of which results were dropped, past the retention.';
comment on column dropped_days.has_base is 'whether what the summaries of the day were then is in dropped_hourly';
comment on table dropped_hourly is 'The part of summaries that is of results that were dropped.';
