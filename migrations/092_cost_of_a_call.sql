-- migrate:up
-- voice_calls.cost = sum of its requests' costs, kept as its tokens are (032): by the difference of
-- each statement, in the same update.
alter table public.voice_calls add column if not exists unpriced_requests int not null default 0;
comment on column public.voice_calls.cost is
    'Sum over voice_usage of what has a price; null: nothing has';
comment on column public.voice_calls.unpriced_requests is
    'Requests whose model has no price: cost lacks them';

grant select (unpriced_requests) on public.voice_calls to voice_reader;

create or replace function voice_worker.add_usage(
    calls uuid[], tokens bigint[], costs numeric[], priced bigint[], unpriced bigint[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform from public.voice_calls where id = any (calls) order by id for no key update;
    update public.voice_calls c set
        total_tokens_used = least(2147483647, greatest(0, c.total_tokens_used + d.tokens)),
        cost = case when c.cost is not null or d.priced > 0
            then coalesce(c.cost, 0) + d.costs end,
        unpriced_requests = least(2147483647, greatest(0, c.unpriced_requests + d.unpriced))
    from unnest(calls, tokens, costs, priced, unpriced) 
        as d (call_id, tokens, costs, priced, unpriced)
    where c.id = d.call_id;
end
$$;
revoke all on function voice_worker.add_usage(uuid[], bigint[], numeric[], bigint[], bigint[])
    from public;

create or replace function voice_worker.count_usage_tokens() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    calls uuid[];
    tokens bigint[];
    costs numeric[];
    priced bigint[];
    unpriced bigint[];
begin
    if tg_op = 'INSERT' then
        select array_agg(call_id), array_agg(t), array_agg(c), array_agg(p), array_agg(u)
        into calls, tokens, costs, priced, unpriced from (
            select call_id,
                coalesce(sum(total_tokens) filter (
                    where message_id is null and kind in ('llm', 'realtime')
                ), 0) as t,
                coalesce(sum(cost), 0) as c, count(cost) as p, count(*) - count(cost) as u
            from new_rows group by call_id
        ) d;
    elsif tg_op = 'DELETE' then
        select array_agg(call_id), array_agg(-t), array_agg(-c), array_agg(-p), array_agg(-u)
        into calls, tokens, costs, priced, unpriced from (
            select call_id,
                coalesce(sum(total_tokens) filter (
                    where message_id is null and kind in ('llm', 'realtime')
                ), 0) as t,
                coalesce(sum(cost), 0) as c, count(cost) as p, count(*) - count(cost) as u
            from old_rows group by call_id
        ) d;
    else
        select array_agg(call_id), array_agg(t), array_agg(c), array_agg(p), array_agg(u)
        into calls, tokens, costs, priced, unpriced from (
            select call_id,
                coalesce(sum(sign * total_tokens) filter (
                    where message_id is null and kind in ('llm', 'realtime')
                ), 0) as t,
                coalesce(sum(sign * cost), 0) as c,
                sum(sign * (cost is not null)::int) as p, sum(sign * (cost is null)::int) as u
            from (
                select 1 as sign, call_id, message_id, kind, total_tokens::bigint, cost
                from new_rows
                union all
                select -1, call_id, message_id, kind, total_tokens::bigint, cost from old_rows
            ) both_sides
            group by call_id
        ) d where t <> 0 or c <> 0 or p <> 0 or u <> 0;
    end if;
    if calls is not null then
        perform voice_worker.add_usage(calls, tokens, costs, priced, unpriced);
    end if;
    return null;
end
$$;
revoke all on function voice_worker.count_usage_tokens() from public;

-- What each turn cost; the row without a message is of requests that led to none.
create or replace view public.turn_costs with (security_invoker = true) as
select
    call_id, message_id, sum(cost) as cost, count(*) as requests,
    count(*) filter (where cost is null) as unpriced_requests,
    count(*) filter (where estimated) as estimated_requests,
    coalesce(sum(total_tokens) filter (where kind in ('llm', 'realtime')), 0) as tokens
from public.voice_usage
group by call_id, message_id;
comment on view public.turn_costs is
    'Cost of each turn; cost is null if none of its requests has a price';
revoke all on public.turn_costs from public, anon, authenticated;
grant select on public.turn_costs to authenticated, service_role;

-- As in 071, and: a call is unpriced also if one of its requests is.
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
-- Computes the costs of requests again, after prices have changed: of one span of ids, so that a
-- caller can go on from there. Returns the last id, null at the end, and how many rows changed.
create or replace function voice_worker.reprice(
    after_id uuid, since timestamptz, until timestamptz, of_model text, size int,
    out last_id uuid, out looked_at int, out changed int
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select array_agg(b.id order by b.id) into ids from (
        select u.id from public.voice_usage u
        where u.id > after_id and (of_model is null or u.model = of_model)
            and u.created_at >= since and u.created_at < until
        order by u.id limit size
    ) b;
    looked_at := coalesce(cardinality(ids), 0);
    last_id := ids[looked_at];
    with models as materialized (
        select
            k.provider, k.model, k.day, voice_worker.rates_of(k.provider, k.model, k.day) as rates
        from (
            select distinct u.provider, u.model, (u.created_at at time zone 'UTC')::date as day
            from public.voice_usage u where u.id = any (ids)
        ) k
    ), priced as (
        select u.id, voice_worker.price_usage(u, m.rates) as row
        from public.voice_usage u
        join models m on m.provider is not distinct from u.provider
            and m.model is not distinct from u.model
            and m.day = (u.created_at at time zone 'UTC')::date
        where u.id = any (ids)
    )
    update public.voice_usage u set cost = (p.row).cost, price_ids = (p.row).price_ids
    from priced p
    where u.id = p.id
        and (u.cost, u.price_ids) is distinct from ((p.row).cost, (p.row).price_ids);
    get diagnostics changed = row_count;
end
$$;
revoke all on function voice_worker.reprice(uuid, timestamptz, timestamptz, text, int) from public;
grant execute on function voice_worker.reprice(uuid, timestamptz, timestamptz, text, int)
    to service_role;

-- Sums costs and counts of calls anew, from their requests: of calls from before 092.
create or replace function voice_worker.recount_costs(after_id uuid, size int, out last_id uuid)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select array_agg(c.id order by c.id) into ids from (
        select id from public.voice_calls where id > after_id order by id limit size
    ) c;
    last_id := ids[cardinality(ids)];
    perform from public.voice_calls where id = any (ids) order by id for no key update;
    update public.voice_calls c set cost = s.cost, unpriced_requests = s.unpriced
    from (
        select v.id, sum(u.cost) as cost, count(u.id) - count(u.cost) as unpriced
        from unnest(ids) as v (id) left join public.voice_usage u on u.call_id = v.id
        group by v.id
    ) s
    where c.id = s.id and (c.cost, c.unpriced_requests) is distinct from (s.cost, s.unpriced::int);
end
$$;
revoke all on function voice_worker.recount_costs(uuid, int) from public;
grant execute on function voice_worker.recount_costs(uuid, int) to service_role;

call voice_worker.schema_reached(92, 60);

-- migrate:down
