-- Everything is created unqualified: the collector sets search_path to the schema that its configuration names.

create table agents (
    agent_id    integer generated always as identity primary key,
    name        text not null unique,
    version     text,
    labels      jsonb not null default '{}',
    -- By the collector's clock and by the agent's own.
    last_seen   timestamptz,
    last_report timestamptz
);

-- One run of an agent. Its ledger is here: which sequence numbers arrived, and what became of them.
-- Nothing that a batch changes is indexed, and pages are half empty: so updates stay in their page (HOT).
create table epochs (
    epoch_id          integer generated always as identity primary key,
    epoch             uuid not null unique,
    agent_id          integer not null references agents,
    first_seen        timestamptz not null default now(),
    -- The epoch before, in the words of this one's reports, and the highest number that it had issued.
    previous          uuid,
    previous_highest  bigint,
    -- The highest number that any report of this epoch, or the next epoch's word, says was issued.
    claimed           bigint not null default 0,
    -- All numbers that arrived.
    accounted         int8multirange not null default '{}',
    -- Those of them that were set aside, and those that are no results (an agent's reports and declarations).
    rejected          int8multirange not null default '{}',
    notices           int8multirange not null default '{}',
    -- Numbers that an agent declared dropped. What arrived all the same counts as stored.
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
    ended_at          timestamptz
) with (fillfactor = 50);
alter table epochs alter column accounted set compression lz4;

-- The same definition of a monitor always gives the same hash, whoever checks it.
create function monitor_hash(id text, name text, url text, pattern text) returns uuid
    language sql immutable parallel safe
    return md5(
        length(id)::text || ':' || id || length(name)::text || ':' || name || length(url)::text || ':' || url
        || coalesce('=' || pattern, '')
    )::uuid;

-- One row per definition, never rewritten: an old result keeps the url that it checked.
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
    -- The only index: a second one halves the rate of storing.
    unique (monitor_id, checked_at, epoch_id, seq)
) partition by range (checked_at);

-- Which hours have results that no summary has seen. Insert-only and without a key, so that a mark and the rows
-- that it stands for become visible together.
create table rollup_due (
    hour     timestamptz not null,
    monitors int4multirange not null
);

create table rejected (
    topic       text not null,
    partition   integer not null,
    "offset"    bigint not null,
    received_at timestamptz not null default now(),
    reason      text not null,
    detail      text not null,
    key         bytea,
    value       bytea,
    -- A topic that is deleted and made again counts its offsets from 0: another message at the same place is kept, too.
    digest      uuid not null generated always as (
        md5(coalesce(md5(key), '') || ':' || coalesce(md5(value), ''))::uuid
    ) stored,
    primary key (topic, partition, "offset", digest)
);

create view website_status as
select m.name,
       m.url,
       r.status_code,
       coalesce(r.reason, r.outcome)                       as reason,
       (r.response_time_us / 1000000.0)::double precision  as response_time,
       r.checked_at,
       m.pattern,
       r.pattern_matched                                   as has_pattern
from results r
join monitors m using (monitor_id);

comment on table results is 'One row per check. Partitioned by the UTC day of checked_at.';
comment on table epochs is 'One row per run of an agent, with the ledger of its sequence numbers.';
comment on view website_status is 'All results, for people who read them by hand.';
