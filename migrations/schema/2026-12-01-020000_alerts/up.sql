-- The state of each alert, and the messages about alerts.

-- One row for each rule and subject, once something is known about it.
create table alerts (
    rule       text not null,
    -- The id of a monitor, or the name of an agent.
    subject    text not null,
    -- The state: pending (the trouble has not lasted for long enough), firing or resolved.
    state      text not null check (state in ('pending', 'firing', 'resolved')),
    -- When the trouble began.
    since      timestamptz not null,
    -- When the alert came to this state.
    changed_at timestamptz not null,
    -- When receivers were last told that the alert fires. Null means that they were told the end, or nothing.
    told_at    timestamptz,
    -- The reason of the maintenance during which receivers are told nothing.
    silenced   text,
    -- What the rule is about: down, slow, …
    what       text not null,
    -- The receivers that the rule tells.
    receivers  text[] not null,
    -- When, to a minute, a collector last had a rule that says something about the alert.
    judged_at  timestamptz not null,
    -- A number that the rule remembers.
    mark       bigint,
    -- An object with name, url, verdict, blame and reason.
    details    jsonb not null,
    -- The key is a hash, because an id may be longer than an index can hold.
    key        uuid not null generated always as (md5(rule || chr(10) || subject)::uuid) stored primary key
);

-- The messages to receivers. A row appears in the transaction that changes the state of its alerts.
create table notifications (
    id            uuid not null primary key default gen_random_uuid(),
    -- The order in which a receiver is told.
    number        bigint not null generated always as identity,
    receiver      text not null,
    -- An object with `items`: what is told about each alert.
    payload       jsonb not null,
    created_at    timestamptz not null default now(),
    -- When the message is to be sent, or tried again.
    not_before    timestamptz not null,
    attempts      integer not null default 0,
    -- The collector that sends it, and until when no other collector does.
    claimed_by    text,
    claimed_until timestamptz,
    sent_at       timestamptz,
    -- When the message was given up, because it was no longer worth telling or because it was refused for good.
    given_up_at   timestamptz,
    last_error    text,
    -- Null means all of the receiver's addresses, until the message is due, or that the receiver has no addresses.
    address       text
);
create index notifications_waiting on notifications (receiver, number) where sent_at is null and given_up_at is null;

comment on table alerts is 'How each alert stands.';
comment on table notifications is 'What receivers were and are to be told.';
