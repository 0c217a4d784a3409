-- Definitions of monitors, and the results as people read them.

-- Returns the hash of a monitor's definition. Every agent and every collector computes the same hash.
create or replace function monitor_hash(id text, name text, url text, pattern text) returns uuid
    language sql immutable parallel safe
    return md5(
        length(id)::text || ':' || id || length(name)::text || ':' || name || length(url)::text || ':' || url
        || coalesce('=' || pattern, '')
    )::uuid;

-- All results in the shape of a simple one-table set-up, for people who read them by hand.
create or replace view website_status as
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

comment on view website_status is 'All results, for people who read them by hand.';
