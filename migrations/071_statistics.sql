-- migrate:up
-- Figures over many calls, as functions: they push the span of time and the user down to an index,
-- which a view would leave to every caller. They run with the caller's rights, so row level security
-- decides what is counted: a user's own calls, for an admin all.
--
-- Their bodies are bound when they are made ("begin atomic"): no search_path can change them, and
-- they reach the private schemas without the caller being able to.

-- Whose figures are asked: a user's, or null for everybody's. A signed-in user who is no admin gets
-- his own: asked for everybody's he would see the same rows, found by walking past all others.
create or replace function voice_access.whose_figures(of_user uuid) returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case
        when of_user is null
            and coalesce(nullif(current_setting('role'), 'none'), session_user) = 'authenticated'
            and not voice_access.is_admin()
        then auth.uid()
        else of_user
    end
$$;
revoke all on function voice_access.whose_figures(uuid) from public;
grant execute on function voice_access.whose_figures(uuid) to authenticated, service_role;

-- The first day of the period that a time falls into.
create or replace function voice_access.period_of(at timestamptz, unit text, time_zone text)
returns date language sql stable parallel safe
return date_trunc(
    case when unit in ('day', 'week', 'month', 'quarter', 'year') then unit
        else unit || ' (day, week, month, quarter or year)' end,
    at at time zone time_zone
)::date;
revoke all on function voice_access.period_of(timestamptz, text, text) from public;
grant execute on function voice_access.period_of(timestamptz, text, text)
    to authenticated, service_role;

-- Calls by the period in which they were made; periods without a call are left out.
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

-- What the models used, by the period in which they were asked.
create or replace function public.usage_statistics(
    since date,
    until date,
    unit text default 'day',
    time_zone text default 'UTC',
    of_user uuid default null
) returns table (
    period date,
    kind text,
    provider text,
    model text,
    requests bigint,
    input_tokens bigint,
    cached_input_tokens bigint,
    output_tokens bigint,
    total_tokens bigint,
    audio_ms bigint,
    characters bigint,
    cost numeric,
    unpriced_requests bigint
)
language sql stable
begin atomic
    select
        voice_access.period_of(u.at, unit, time_zone), u.kind, u.provider, u.model,
        sum(u.requests)::bigint, sum(u.input_tokens)::bigint, sum(u.cached_input_tokens)::bigint,
        sum(u.output_tokens)::bigint, sum(u.total_tokens)::bigint, sum(u.audio_ms)::bigint,
        sum(u.characters)::bigint,
        -- Of the requests that have a price; null if none has.
        case when sum(u.requests) > sum(u.unpriced_requests) then sum(u.cost) end,
        sum(u.unpriced_requests)::bigint
    from (
        select
            t.quarter_hour as at, t.kind, t.provider, t.model, t.requests, t.input_tokens,
            t.cached_input_tokens, t.output_tokens, t.total_tokens, t.audio_ms, t.characters,
            t.cost, t.unpriced_requests
        from voice_worker.usage_totals t
        where (select voice_access.whose_figures(of_user)) is null
            and t.quarter_hour >= since::timestamp at time zone time_zone
            and t.quarter_hour < until::timestamp at time zone time_zone
        union all
        select
            r.created_at, r.kind, r.provider, r.model, 1, r.input_tokens, r.cached_input_tokens,
            r.output_tokens, r.total_tokens, coalesce(r.audio_ms, 0), coalesce(r.characters, 0),
            coalesce(r.cost, 0), (r.cost is null)::int
        from public.voice_calls v
        join public.voice_usage r on r.call_id = v.id
        where v.user_id = (select voice_access.whose_figures(of_user))
            -- A request is not made before its call, nor a day after its end.
            and v.created_at < until::timestamp at time zone time_zone
            and coalesce(v.ended_at, 'infinity')
                >= since::timestamp at time zone time_zone - interval '1 day'
            -- By the day, so that each call's few requests are looked at instead of an index of time.
            and (r.created_at at time zone time_zone)::date >= since
            and (r.created_at at time zone time_zone)::date < until
    ) u
    group by 1, 2, 3, 4
    having sum(u.requests) <> 0  -- all of them deleted
    order by 1, 2, 3, 4;
end;
comment on function public.usage_statistics(date, date, text, text, uuid) is
    'Tokens and known cost by period, kind of model and model; until is not included';

-- The users who used most, by the calls they made.
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
            count(*) filter (where c.cost is null) as unpriced_calls
        from (
            select v.user_id, v.status, v.duration_seconds, v.total_tokens_used, v.cost
            from public.voice_calls v
            where (select voice_access.whose_figures(null)) is null
                and v.created_at >= since::timestamp at time zone time_zone
                and v.created_at < until::timestamp at time zone time_zone
            union all
            select v.user_id, v.status, v.duration_seconds, v.total_tokens_used, v.cost
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

revoke all on function
    public.call_statistics(date, date, text, text, uuid),
    public.usage_statistics(date, date, text, text, uuid),
    public.user_statistics(date, date, text, int)
from public, anon;
grant execute on function
    public.call_statistics(date, date, text, text, uuid),
    public.usage_statistics(date, date, text, text, uuid),
    public.user_statistics(date, date, text, int)
to authenticated, service_role;

-- Out of reach by name: only usage_statistics reads it for them.
alter table voice_worker.usage_totals enable row level security;
drop policy if exists usage_totals_admin_select on voice_worker.usage_totals;
create policy usage_totals_admin_select on voice_worker.usage_totals for select to authenticated
    using ((select voice_access.is_admin()));
grant select on voice_worker.usage_totals to authenticated, service_role;

call voice_worker.schema_reached(71, 60);

-- migrate:down
