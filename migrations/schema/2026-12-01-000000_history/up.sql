-- What arrived: agents and their runs, monitors, results, and what agents say should arrive.
--
-- Everything is created unqualified: the collector sets search_path to the schema that its configuration names.

create table agents (
    agent_id        integer generated always as identity primary key,
    name            text not null unique,
    version         text,
    labels          jsonb not null default '{}',
    -- `last_seen` is by the database's clock. `last_report` is by the agent's own clock, or by the collector's clock
    -- where the agent's clock is ahead of it.
    last_seen       timestamptz,
    last_report     timestamptz,
    -- What is kept of the latest report beside columns of its own: outbox_bytes, missed, clock, faults.
    report          jsonb not null default '{}',
    -- How far the database's clock is ahead of the agent's clock at least, in microseconds. A negative value means that the
    -- agent's clock is ahead.
    clock_behind_us bigint not null default 0,
    run             integer,
    heard_at        timestamptz
);
comment on column agents.run is 'the epoch_id of its last run, whose latest report is here';
comment on column agents.heard_at is 'when, by the database''s clock, a report of its last run came that had not waited in an outbox';

-- One run of an agent, with its ledger: which sequence numbers arrived, and what became of them.
-- No column that a batch changes is indexed, and pages are half empty, so an update stays in its page (HOT).
create table epochs (
    epoch_id          integer generated always as identity primary key,
    epoch             uuid not null unique,
    agent_id          integer not null references agents,
    first_seen        timestamptz not null default now(),
    -- The epoch before, as this epoch's reports name it, and the highest number that it had issued.
    previous          uuid,
    previous_highest  bigint,
    -- The highest number that any report of this epoch, or of the next epoch, says was issued.
    claimed           bigint not null default 0,
    -- All numbers that arrived.
    accounted         int8multirange not null default '{}',
    -- The numbers of these that were set aside, and the numbers that are no results (an agent's reports and declarations).
    rejected          int8multirange not null default '{}',
    notices           int8multirange not null default '{}',
    -- Numbers that an agent declared dropped. A number that arrived nevertheless counts as stored.
    dropped           int8multirange not null default '{}',
    -- Numbers whose rows went with a partition that was past the retention.
    expired           int8multirange not null default '{}',
    -- The latest report: its number, its time by the agent's clock, and what then waited in the outbox.
    report_seq        bigint,
    reported_at       timestamptz,
    pending           bigint,
    oldest_epoch      uuid,
    oldest_seq        bigint,
    -- The time of the report of a clean stop.
    ended_at          timestamptz,
    -- An epoch that is known only because a later epoch names it belongs to the agent of the later epoch until its own
    -- records arrive: the agent may have been renamed in between.
    is_named          boolean not null default true,
    -- Runs are in the order in which the database heard of them: the clocks of agents differ, and the ids of epochs are also
    -- given out by what other epochs say of them.
    first_heard_at    timestamptz,
    heard_at          timestamptz,
    -- The last run of an agent is decided by the chain of its runs and by the time at which their reports came: an agent's
    -- clock may be wrong, and may be set back between two runs.
    took_over_at      timestamptz,
    prompt_report_at  timestamptz,
    -- Two hosts with one name have two runs that go on beside each other: each is heard again after the other one.
    returns           integer not null default 0,
    returned_at       timestamptz
) with (fillfactor = 50);
alter table epochs alter column accounted set compression lz4;
comment on table epochs is 'One row per run of an agent, with the ledger of its sequence numbers.';
comment on column epochs.is_named is 'whether its own records have said whose it is';
comment on column epochs.first_heard_at is 'when its first report was stored; of those of one batch, in their order';
comment on column epochs.heard_at is 'when its latest report was stored';
comment on column epochs.took_over_at is 'since when, by the database''s clock, it is or was its agent''s last run; null: it never was, since all of it came late';
comment on column epochs.prompt_report_at is 'when, by the database''s clock, its latest report came that had not waited in an outbox';
comment on column epochs.returns is 'how often in a row it was heard again after another run of its agent had taken over; 2 or more: it goes on beside that';
comment on column epochs.returned_at is 'when it last was, by the database''s clock';

-- Agents that are gone for good, as a person said. From `since` on nothing is due from the agent. A retirement ends
-- with a report that the agent made after it was said, and stays as history.
create table retirements (
    agent_id integer not null,
    since    timestamptz not null,
    said_at  timestamptz not null default now(),
    primary key (agent_id, said_at)
);
comment on table retirements is 'Agents that are gone, as somebody said. Who is gone now is told by retired_agents.';

-- One row per definition, which is never rewritten: an old result keeps the url that it checked.
create table monitors (
    monitor_id integer generated always as identity primary key,
    id         text not null,
    name       text not null,
    url        text not null,
    pattern    text,
    first_seen timestamptz not null default now(),
    hash       uuid not null unique
);

create table results (
    monitor_id            integer not null,
    checked_at            timestamptz not null,
    epoch_id              integer not null,
    seq                   bigint not null,
    outcome               text not null,
    status_code           smallint,
    reason                text,
    response_time_us      bigint,
    dns_us                bigint,
    connect_us            bigint,
    tls_us                bigint,
    first_byte_us         bigint,
    body_us               bigint,
    attempts              smallint not null,
    pattern_matched       boolean,
    peer                  text,
    certificate_not_after timestamptz,
    error                 text,
    certificate_first_end timestamptz,
    -- This is the only index: a second index halves the rate of storing.
    unique (monitor_id, checked_at, epoch_id, seq)
) partition by range (checked_at);
comment on table results is 'One row per check. Partitioned by the UTC day of checked_at.';
comment on column results.certificate_first_end is
    'the earliest end among the certificates that the check relied on: those of each hop''s verified chain; null where that is certificate_not_after';

create table rejected (
    topic       text not null,
    partition   integer not null,
    "offset"    bigint not null,
    received_at timestamptz not null default now(),
    reason      text not null,
    detail      text not null,
    key         bytea,
    value       bytea,
    -- A topic that is deleted and made again counts its offsets from 0, and another message at the same place is kept, too.
    digest      uuid not null generated always as (
        md5(coalesce(md5(key), '') || ':' || coalesce(md5(value), ''))::uuid
    ) stored,
    primary key (topic, partition, "offset", digest)
);

-- What an agent said should arrive from then on, at its start or when it read its configuration again.
create table schedules (
    epoch_id     integer not null,
    seq          bigint not null,
    -- By the agent's clock, or by the database's clock where the agent's clock is ahead of it or was never set.
    at           timestamptz not null,
    event        text not null,
    revision     text not null,
    -- A long list is in several rows of the same event and revision.
    monitors     text[] not null,
    intervals_ms bigint[] not null,
    -- In the order of the monitors; null where no monitor has a tag.
    tags         jsonb[],
    primary key (epoch_id, seq)
);
comment on table schedules is 'What agents said should arrive.';

-- The identity of this database, independent of its server: a copy and a backup of it are the same database. The
-- consumer group that fills it is marked with it, so collectors of two databases do not share one group by mistake.
create table identity (
    is_only  boolean primary key default true check (is_only),
    database uuid not null default gen_random_uuid()
);
insert into identity default values;
comment on table identity is 'One row: what this database is.';

-- The offset up to which each partition of a topic is stored. A position changes in the transaction of the rows, so it
-- is also true after this database was set back. The offsets that are committed in Kafka are not.
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
