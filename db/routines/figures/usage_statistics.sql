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
        voice_access.period_of(t.quarter_hour, unit, time_zone), t.kind, t.provider, t.model,
        sum(t.requests)::bigint, sum(t.input_tokens)::bigint, sum(t.cached_input_tokens)::bigint,
        sum(t.output_tokens)::bigint, sum(t.total_tokens)::bigint, sum(t.audio_ms)::bigint,
        sum(t.characters)::bigint,
        -- Of the requests that have a price; null if none has.
        case when sum(t.requests) > sum(t.unpriced_requests) then sum(t.cost) end,
        sum(t.unpriced_requests)::bigint
    from voice_worker.usage_totals t
    where (select voice_access.whose_figures(of_user)) is null
        and t.quarter_hour >= since::timestamp at time zone time_zone
        and t.quarter_hour < until::timestamp at time zone time_zone
    group by 1, 2, 3, 4
    having sum(t.requests) <> 0
    union all
    select
        voice_access.period_of(r.created_at, unit, time_zone), r.kind, r.provider, r.model,
        count(*), sum(r.input_tokens), sum(r.cached_input_tokens), sum(r.output_tokens),
        sum(r.total_tokens), coalesce(sum(r.audio_ms), 0), coalesce(sum(r.characters), 0),
        sum(r.cost), count(*) - count(r.cost)
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
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4;
end;

comment on function public.usage_statistics(date, date, text, text, uuid) is
    'Tokens and known cost by period, kind of model and model; until is not included';
revoke all on function public.usage_statistics(date, date, text, text, uuid) from public, anon;
grant execute on function public.usage_statistics(date, date, text, text, uuid)
    to authenticated, service_role, voice_reader;
