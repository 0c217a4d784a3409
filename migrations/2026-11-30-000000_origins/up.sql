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

-- Days whose results were dropped with their partition, past the retention. What comes for such a day later is added to
-- what its summaries were then, which is copied to dropped_hourly when the first of it comes.
create table dropped_days (
    day      date primary key,
    has_base boolean not null default false
);
create table dropped_hourly (like hourly including all);
comment on table dropped_days is 'Days whose results were dropped, past the retention.';
comment on column dropped_days.has_base is 'whether what the summaries of the day were then is in dropped_hourly';
comment on table dropped_hourly is 'The part of summaries that is of results that were dropped.';

-- Which run of an agent is its last, and whether it is heard of, is decided by the chain of its runs and by when their
-- reports came: an agent's clock may be wrong, and be set back between two runs.
alter table epochs add column took_over_at timestamptz, add column prompt_report_at timestamptz;
comment on column epochs.took_over_at is 'since when, by the database''s clock, it is or was its agent''s last run; null: it never was, since all of it came late';
comment on column epochs.prompt_report_at is 'when, by the database''s clock, its latest report came that had not waited in an outbox';
-- Two hosts with one name have two runs that go on beside each other: each is heard again after the other one.
alter table epochs add column returns integer not null default 0, add column returned_at timestamptz;
comment on column epochs.returns is 'how often in a row it was heard again after another run of its agent had taken over; 2 or more: it goes on beside that';
comment on column epochs.returned_at is 'when it last was, by the database''s clock';
alter table agents add column run integer, add column heard_at timestamptz;
comment on column agents.run is 'the epoch_id of its last run, whose latest report is here';
comment on column agents.heard_at is 'when, by the database''s clock, a report of its last run came that had not waited in an outbox';
update epochs set took_over_at = first_seen, prompt_report_at = reported_at where report_seq is not null;
update agents a set heard_at = last_report, run = (
    select e.epoch_id from epochs e where e.agent_id = a.agent_id and e.report_seq is not null
    order by e.epoch_id desc limit 1
);

-- As before, but a report that waited in an outbox, whatever time it bears, is not taken for one that was made since.
create or replace function retired_agents()
    returns table (agent_id integer, since timestamptz)
    language sql stable parallel safe
begin atomic
    select distinct on (r.agent_id) r.agent_id, r.since
    from retirements r join agents a using (agent_id)
    where coalesce(a.heard_at <= r.said_at, true)
    order by r.agent_id, r.said_at desc;
end;

-- As before, but for the order of runs.
create or replace function schedule_lists(since timestamptz, until timestamptz)
    returns table (
        agent_id integer, monitors text[], intervals_ms bigint[], tags jsonb[],
        begins timestamptz, ends timestamptz, is_stopped boolean, resumes timestamptz
    )
    language plpgsql stable parallel safe
    rows 100
    set search_path from current
as $$
#variable_conflict use_column
begin
    return query
    with marked as (
        select s.epoch_id, s.seq, s.at,
               (s.event, s.revision) is distinct from
                   (lag(s.event) over of_epoch, lag(s.revision) over of_epoch) as is_new
        from schedules s
        window of_epoch as (partition by s.epoch_id order by s.seq)
    ),
    numbered as (
        select m.*, count(*) filter (where m.is_new) over (
                   partition by m.epoch_id order by m.seq rows unbounded preceding
               ) as list
        from marked m
    ),
    lists as (
        select n.epoch_id, n.list, min(n.at) as begins, min(n.seq) as first_seq, max(n.seq) as last_seq
        from numbered n group by 1, 2
    ),
    -- Runs are in the order in which the database found them to be their agent's last one, whatever their clocks said. One
    -- whose clock was set back begins, by that, before the one before it had ended: both then owe the same time. A run that
    -- never was the last one, since all of it came late, is put where its own clock says. A run that goes on beside another
    -- one, as those of two hosts with one name, ends only where one follows it in its own chain.
    followed as (
        select e.agent_id, l.*, e.ended_at as stopped, e.reported_at, e.prompt_report_at,
               case when e.took_over_at is null then
                        lead(l.begins) over (partition by e.agent_id order by l.begins, l.epoch_id, l.list)
                    when e.returns > 0 and max(e.returns) over (partition by e.agent_id) > 1
                     and lead(l.epoch_id) over of_leading is distinct from l.epoch_id then (
                        select min(s.at) from epochs n join schedules s using (epoch_id)
                        where n.agent_id = e.agent_id and n.previous = e.epoch and n.first_seen > e.returned_at
                    )
                    when lead(l.epoch_id) over of_leading <> l.epoch_id then
                        greatest(lead(l.begins) over of_leading, e.reported_at)
                    else lead(l.begins) over of_leading
               end as next_begins
        from lists l join epochs e using (epoch_id)
        window of_leading as (
            partition by e.agent_id, e.took_over_at is null order by e.took_over_at, l.epoch_id, l.list
        )
    ),
    ended as (
        select f.*, least(f.next_begins, r.since) as resumes
        from followed f
        left join lateral (
            select min(g.since) as since
            from retirements g
            where g.agent_id = f.agent_id and g.said_at > f.begins and coalesce(f.prompt_report_at <= g.said_at, true)
        ) r on true
        where f.begins < schedule_lists.until and coalesce(f.next_begins > schedule_lists.since, true)
    )
    select n.agent_id, s.monitors, s.intervals_ms, s.tags, n.begins, least(n.stopped, n.resumes),
           coalesce(n.stopped < n.resumes, n.stopped is not null),
           case when n.stopped is not null then n.resumes end
    from ended n
    join schedules s on s.epoch_id = n.epoch_id and s.seq between n.first_seq and n.last_seq
    where coalesce(n.resumes > greatest(n.begins, schedule_lists.since), true);
end
$$;
