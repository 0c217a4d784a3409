-- What people are told: how each alert stands, and the messages about it.

-- One row for each rule and what it is about, once there is something to be known of it.
create table alerts (
    rule       text not null,
    -- A monitor's id, or an agent's name.
    subject    text not null,
    -- pending (not for long enough yet), firing, resolved.
    state      text not null check (state in ('pending', 'firing', 'resolved')),
    -- Since when the trouble lasts, or lasted.
    since      timestamptz not null,
    -- When it came to this state.
    changed_at timestamptz not null,
    -- When receivers were last told that it fires; null: they were told the end, or nothing.
    told_at    timestamptz,
    -- The maintenance for which they are told nothing.
    silenced   text,
    -- What the rule is about: down, slow, …
    what       text not null,
    -- Whom it tells.
    receivers  text[] not null,
    -- When, to a minute, a collector last had a rule that says something of it.
    judged_at  timestamptz not null,
    -- A number that the rule remembers.
    mark       bigint,
    -- name, url, verdict, blame, reason
    details    jsonb not null,
    -- An id may be longer than an index can hold.
    key        uuid not null generated always as (md5(rule || chr(10) || subject)::uuid) stored primary key
);

-- What receivers are sent. It appears in the transaction that moves its alerts on.
create table notifications (
    id            uuid not null primary key default gen_random_uuid(),
    -- In this order a receiver is told.
    number        bigint not null generated always as identity,
    receiver      text not null,
    -- items: what is told of each alert.
    payload       jsonb not null,
    created_at    timestamptz not null default now(),
    -- When it is to be sent, or tried again.
    not_before    timestamptz not null,
    attempts      integer not null default 0,
    -- Which collector sends it, and until when no one else does.
    claimed_by    text,
    claimed_until timestamptz,
    sent_at       timestamptz,
    -- When it was no longer worth telling.
    given_up_at   timestamptz,
    last_error    text,
    -- Null: all of the receiver's addresses, until the message is due; or a receiver without addresses.
    address       text
);
create index notifications_waiting on notifications (receiver, number) where sent_at is null and given_up_at is null;

comment on table alerts is 'How each alert stands.';
comment on table notifications is 'What receivers were and are to be told.';
