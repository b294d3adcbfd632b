-- The histogram of one latency, to be summed. A histogram is one number, so that adding numbers adds
-- histograms: twelve decimal digits for each bucket. Bucket 0 counts implausible values; bucket b
-- counts from 1.04 ^ (b - 1) to 1.04 ^ b milliseconds, so that a percentile is accurate to 2 % and,
-- because it is rounded, a millisecond.
--
-- An example: 300 ms is in bucket 1 + floor(ln 300 / ln 1.04) = 146, so its mark is a 1 with 12 * 146
-- zeros; 120 ms is in bucket 123. Two turns of 300 ms and one of 120 ms sum to a number with a 2 at
-- digit 12 * 146 and a 1 at digit 12 * 123, counted from the right: the histogram of the three.
--
-- ms: the latency, or null. implausible: a measured value that can't be true, or null. Locks: none.
-- Result: the histogram; 0 for none.
-- Called by: authenticated, service_role, voice_reader, inside latency_statistics; nobody can name its
-- schema.
create or replace function voice_access.latency_mark(ms int, implausible jsonb) returns numeric
language sql immutable parallel safe
return case
    when ms is not null then (
        '1e' || (12 * (1 + floor(ln(greatest(ms, 1)::double precision) / ln(1.04::double precision))))
            ::int::text
    )::numeric
    when implausible is not null then 1
    else 0
end;

revoke all on function voice_access.latency_mark(int, jsonb) from public;
grant execute on function voice_access.latency_mark(int, jsonb)
    to authenticated, service_role, voice_reader;
