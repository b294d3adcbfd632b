-- The histogram of one latency, to be summed. A histogram is one number, so that adding numbers adds
-- histograms: twelve decimal digits for each bucket. Bucket 0 counts what cannot be true; bucket b
-- counts from 1.04 ^ (b - 1) to 1.04 ^ b milliseconds, so that a percentile is told within 2 % and, as
-- it is rounded, a millisecond.
--
-- ms: the latency, or null. implausible: what was measured and cannot be true, or null. Locks: none.
-- Result: the histogram; of none 0.
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
