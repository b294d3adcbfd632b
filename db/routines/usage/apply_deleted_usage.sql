-- Counts the model requests of a batch whose call its owner has deleted, because they still cost money.
-- Nothing about the call or a person is kept.
--
-- ids: {key: id of the call}; only requests of a call whose id is null are taken. usage: those of the
-- batch. A newer revision takes the place of an older one.
-- Locks: the rows of deleted_usage that change. Called by: voice_worker.
create or replace function voice_worker.apply_deleted_usage(ids jsonb, usage jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    insert into voice_worker.deleted_usage as d (
        id, kind, provider, model, input_tokens, cached_input_tokens, output_tokens, total_tokens,
        audio_ms, characters, cost, created_at, revision
    )
    select
        r.id, r.kind, r.provider, r.model, coalesce(r.input_tokens, 0),
        coalesce(r.cached_input_tokens, 0), coalesce(r.output_tokens, 0),
        coalesce(r.total_tokens, 0), r.audio_ms, r.characters, c.cost, r.at, r.revision
    from jsonb_to_recordset(usage) as r (
        id uuid, call text, kind text, provider text, model text, input_tokens int,
        cached_input_tokens int, output_tokens int, total_tokens int, audio_ms int, characters int,
        at timestamptz, metadata jsonb, cache_creation_tokens int, input_audio_tokens int,
        cached_audio_tokens int, output_audio_tokens int, revision bigint
    )
    cross join lateral voice_worker.charge(
        voice_worker.units_of(
            r.input_tokens, r.cached_input_tokens, r.cache_creation_tokens, r.input_audio_tokens,
            r.cached_audio_tokens, r.output_tokens, r.output_audio_tokens, r.characters,
            r.audio_ms, r.metadata
        ),
        voice_worker.rates_of(r.provider, r.model, (r.at at time zone 'UTC')::date)
    ) c
    where ids ? r.call and ids ->> r.call is null
    on conflict (id) do update set
        kind = excluded.kind,
        provider = excluded.provider,
        model = excluded.model,
        input_tokens = excluded.input_tokens,
        cached_input_tokens = excluded.cached_input_tokens,
        output_tokens = excluded.output_tokens,
        total_tokens = excluded.total_tokens,
        audio_ms = excluded.audio_ms,
        characters = excluded.characters,
        cost = excluded.cost,
        created_at = excluded.created_at,
        revision = excluded.revision
    where d.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_deleted_usage(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_deleted_usage(jsonb, jsonb) to voice_worker;
