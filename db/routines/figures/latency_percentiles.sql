-- The figures of a histogram of latency_mark: the number of turns, the number of implausible ones, and
-- for each percentile the middle of its bucket.
--
-- histogram: a sum of marks. Locks: none. Result: one row; percentiles are null if there is no turn.
-- Called by: authenticated, service_role, voice_reader, inside latency_statistics; nobody can name its
-- schema.
create or replace function voice_access.latency_percentiles(histogram numeric) returns table (
    turns bigint,
    implausible bigint,
    p50_ms double precision,
    p95_ms double precision,
    p99_ms double precision
)
language sql immutable parallel safe
begin atomic
    select
        coalesce(max(b.whole), 0)::bigint,
        coalesce(sum(b.n) filter (where b.bucket = 0), 0)::bigint,
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.50 * b.whole)),
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.95 * b.whole)),
        round(2 / 2.04 * 1.04::double precision ^ min(b.bucket) filter (where b.upto >= 0.99 * b.whole))
    from (
        select
            c.bucket, c.n,
            sum(c.n) filter (where c.bucket > 0) over (order by c.bucket) as upto,
            sum(c.n) filter (where c.bucket > 0) over () as whole
        from (
            select
                g.bucket,
                convert_from(substring(
                    d.digits from length(d.digits) - 12 * g.bucket - 11 for 12
                ), 'SQL_ASCII')::bigint as n
            from (
                -- As bytes, once: a letter of a text is found by walking to it.
                select convert_to(repeat('0', 11) || histogram::text, 'SQL_ASCII') as digits
                offset 0
            ) d
            cross join lateral generate_series(0, length(d.digits) / 12 - 1) as g (bucket)
        ) c
        where c.n > 0
    ) b;
end;

revoke all on function voice_access.latency_percentiles(numeric) from public;
grant execute on function voice_access.latency_percentiles(numeric)
    to authenticated, service_role, voice_reader;
