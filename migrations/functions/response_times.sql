-- Buckets of response times.

-- Returns the 23 bounds between the 24 buckets of response times, in microseconds: five to a decade, from 1 ms to 25 s.
create or replace function response_time_bounds() returns bigint[]
    language sql immutable parallel safe
    return array[
        1000, 1600, 2500, 4000, 6300,
        10000, 16000, 25000, 40000, 63000,
        100000, 160000, 250000, 400000, 630000,
        1000000, 1600000, 2500000, 4000000, 6300000,
        10000000, 16000000, 25000000
    ]::bigint[];

-- Returns the bucket of a response time, from 1 (below 1 ms) to 24 (25 s and more). A bound belongs to the bucket above it.
create or replace function response_time_bucket(us bigint) returns integer
    language sql immutable parallel safe
    return width_bucket(us, response_time_bounds()) + 1;

-- Returns the time below which this fraction of the response times lies, in microseconds. It is exact to its bucket,
-- interpolated logarithmically within the bucket, and never above the longest time.
create or replace function response_time_percentile(response_times bigint[], longest_us bigint, fraction double precision)
    returns double precision
    language sql immutable strict parallel safe
begin atomic
    select case b.low when 0 then b.high * b.part else b.low * power(b.high / b.low, b.part) end
    from (
        select s.bucket,
               coalesce((response_time_bounds())[s.bucket - 1], 0)::double precision as low,
               least((response_time_bounds())[s.bucket], longest_us)::double precision as high,
               greatest(s.rank - s.before, 0) / s.n as part
        from (
            select t.bucket::integer as bucket,
                   t.n::double precision as n,
                   (sum(t.n) over (order by t.bucket) - t.n)::double precision as before,
                   sum(t.n) over ()::double precision * least(greatest(fraction, 0), 1) as rank
            from unnest(response_times) with ordinality t(n, bucket)
        ) s
        where s.n > 0 and s.rank <= s.before + s.n
        order by s.bucket limit 1
    ) b;
end;
