-- Computes the costs of requests again, after prices have changed: of one span of ids, so that a
-- caller goes on from there.
--
-- after_id: where the last span ended. since, until: only requests of that time. of_model: null for
-- all. size: how many to look at.
-- Locks: the requests that change and, through the triggers, their calls; for one span only.
-- Result: last_id (null at the end), looked_at, changed. Called by: service_role.
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
        select u.id, c.cost, c.price_ids
        from public.voice_usage u
        join models m on m.provider is not distinct from u.provider
            and m.model is not distinct from u.model
            and m.day = (u.created_at at time zone 'UTC')::date
        cross join lateral voice_worker.charge(
            voice_worker.units_of(
                u.input_tokens, u.cached_input_tokens, u.cache_creation_tokens,
                u.input_audio_tokens, u.cached_audio_tokens, u.output_tokens,
                u.output_audio_tokens, u.characters, u.audio_ms, u.metadata
            ),
            m.rates
        ) c
        where u.id = any (ids)
    )
    update public.voice_usage u set cost = p.cost, price_ids = p.price_ids
    from priced p
    where u.id = p.id and (u.cost, u.price_ids) is distinct from (p.cost, p.price_ids);
    get diagnostics changed = row_count;
end
$$;

revoke all on function voice_worker.reprice(uuid, timestamptz, timestamptz, text, int) from public;
grant execute on function voice_worker.reprice(uuid, timestamptz, timestamptz, text, int)
    to service_role;
