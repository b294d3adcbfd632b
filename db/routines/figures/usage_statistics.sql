-- What the models used, by the period in which they were asked: tokens, sound, characters and the cost
-- that is known.
--
-- since, until: days; until is not included. unit: day, week, month, quarter or year. time_zone: in
-- which a day begins. of_user: whose calls, null for everybody's.
-- Locks: none. Result: a row for each period, kind, provider and model; cost is null if none of the
-- requests has a price.
-- Everybody's figures come from usage_totals, a user's from the requests of his calls. With the
-- caller's rights, bound when it is made ("begin atomic"). Called by: authenticated, service_role,
-- voice_reader.
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
revoke all on function public.usage_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.usage_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
