-- Calls by the period in which they were made; a period without calls has no row.
--
-- since, until: days; until is not included. unit: day, week, month, quarter or year. time_zone: in
-- which a day begins. of_user: whose calls, null for everybody's.
-- Locks: none. Result: a row for each period; failure_rate is of the calls that have ended.
-- With the caller's rights: row level security decides what is counted, a user's own calls, for an
-- admin all. The body is bound when it is made ("begin atomic"): no search_path can change it, and it
-- reaches the private schemas without the caller being able to. A function and not a view, so that
-- span and user go down to an index. Called by: authenticated, service_role, voice_reader.
create or replace function public.call_statistics(
    since date,
    until date,
    unit text default 'day',
    time_zone text default 'UTC',
    of_user uuid default null
) returns table (
    period date,
    calls bigint,
    completed bigint,
    failed bigint,
    failure_rate double precision,
    total_s bigint,
    average_s double precision,
    p50_s double precision,
    p90_s double precision,
    p95_s double precision,
    p99_s double precision
)
language sql stable
begin atomic
    select
        voice_access.period_of(c.created_at, unit, time_zone),
        count(*),
        count(*) filter (where c.status = 'completed'),
        count(*) filter (where c.status = 'failed'),
        -- Of those that have ended.
        avg((c.status = 'failed')::int::double precision)
            filter (where c.status in ('completed', 'failed')),
        coalesce(sum(c.duration_seconds), 0),
        avg(c.duration_seconds::double precision),
        percentile_cont(0.5) within group (order by c.duration_seconds),
        percentile_cont(0.9) within group (order by c.duration_seconds),
        percentile_cont(0.95) within group (order by c.duration_seconds),
        percentile_cont(0.99) within group (order by c.duration_seconds)
    from (
        select v.created_at, v.status, v.duration_seconds
        from public.voice_calls v
        where (select voice_access.whose_figures(of_user)) is null
            and v.created_at >= since::timestamp at time zone time_zone
            and v.created_at < until::timestamp at time zone time_zone
        union all
        select v.created_at, v.status, v.duration_seconds
        from public.voice_calls v
        where v.user_id = (select voice_access.whose_figures(of_user))
            and v.created_at >= since::timestamp at time zone time_zone
            and v.created_at < until::timestamp at time zone time_zone
    ) c
    group by 1
    order by 1;
end;

comment on function public.call_statistics(date, date, text, text, uuid) is
    'Calls by day, week, month, quarter or year of a time zone; until is not included';
revoke all on function public.call_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.call_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
