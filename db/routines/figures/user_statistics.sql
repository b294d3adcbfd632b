-- The users who used most, by the calls that they made.
--
-- since, until: days; until is not included. time_zone: in which a day begins. most: how many users.
-- Locks: none. Result: a row for each user, the one with the most tokens first; the row without a user
-- is of calls that are nobody's. A call is unpriced if it has no cost or one of its requests has none.
-- With the caller's rights, bound when it is made ("begin atomic"). Called by: authenticated,
-- service_role, voice_reader.
create or replace function public.user_statistics(
    since date,
    until date,
    time_zone text default 'UTC',
    most int default 100
) returns table (
    user_id uuid,
    user_name text,
    calls bigint,
    failed bigint,
    total_s bigint,
    total_tokens bigint,
    cost numeric,
    unpriced_calls bigint
)
language sql stable
begin atomic
    select
        s.user_id, u.name, s.calls, s.failed, s.total_s, s.total_tokens, s.cost, s.unpriced_calls
    from (
        select
            c.user_id,
            count(*) as calls,
            count(*) filter (where c.status = 'failed') as failed,
            coalesce(sum(c.duration_seconds), 0) as total_s,
            sum(c.total_tokens_used) as total_tokens,
            sum(c.cost) as cost,
            count(*) filter (where c.cost is null or c.unpriced_requests > 0) as unpriced_calls
        from (
            select v.user_id, v.status, v.duration_seconds, v.total_tokens_used, v.cost,
                v.unpriced_requests
            from public.voice_calls v
            where (select voice_access.whose_figures(null)) is null
                and v.created_at >= since::timestamp at time zone time_zone
                and v.created_at < until::timestamp at time zone time_zone
            union all
            select v.user_id, v.status, v.duration_seconds, v.total_tokens_used, v.cost,
                v.unpriced_requests
            from public.voice_calls v
            where v.user_id = (select voice_access.whose_figures(null))
                and v.created_at >= since::timestamp at time zone time_zone
                and v.created_at < until::timestamp at time zone time_zone
        ) c
        group by c.user_id
        order by total_tokens desc, calls desc, c.user_id
        limit most
    ) s
    left join lateral voice_access.visible_user(s.user_id) u on true
    order by s.total_tokens desc, s.calls desc, s.user_id;
end;

comment on function public.user_statistics(date, date, text, int) is
    'The users with the most tokens; the row without a user is of calls that are nobody''s';
revoke all on function public.user_statistics(date, date, text, int) from public, anon;
grant execute on function public.user_statistics(date, date, text, int)
    to authenticated, service_role, voice_reader;
