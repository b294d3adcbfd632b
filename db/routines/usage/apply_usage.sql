-- Stores the model requests of a batch: new ones, and newer revisions of those that are there. A
-- request is attached only to a message of its own call; one whose message was refused or deleted
-- stays unattached. Each is priced.
--
-- ids: {key: id of the call}; requests of a call without an id are left out. usage: those of the
-- batch.
-- Locks: the requests that change, and through the triggers the rows of their calls. Called by:
-- voice_worker.
create or replace function voice_worker.apply_usage(ids jsonb, usage jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with given as materialized (
        select (ids ->> r.call)::uuid as call_id, (r.at at time zone 'UTC')::date as day, r.*
        from jsonb_to_recordset(usage) as r (
            id uuid, call text, message_id uuid, kind text, provider text, model text,
            request_id text, speech_id text, input_tokens int, cached_input_tokens int,
            output_tokens int, reasoning_tokens int, total_tokens int, audio_ms int, characters int,
            duration_ms int, ttft_ms int, cancelled boolean, estimated boolean, at timestamptz,
            metadata jsonb, cache_creation_tokens int, input_audio_tokens int,
            cached_audio_tokens int, output_audio_tokens int, error text, revision bigint
        )
        where ids ->> r.call is not null
    ),
    -- Looked up once for each model, not for each request.
    models as materialized (
        select k.provider, k.model, k.day, voice_worker.rates_of(k.provider, k.model, k.day) as rates
        from (select distinct provider, model, day from given) k
    )
    insert into public.voice_usage as u (
        id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
        cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
        duration_ms, ttft_ms, cancelled, estimated, created_at, metadata, cache_creation_tokens,
        input_audio_tokens, cached_audio_tokens, output_audio_tokens, error, revision, cost, price_ids
    )
    select
        r.id, r.call_id,
        -- A message that was refused or deleted, or is another call's, leaves its requests unattached.
        (
            select m.id from public.voice_messages m
            where m.id = r.message_id and m.call_id = r.call_id
        ),
        r.kind, r.provider, r.model, r.request_id, r.speech_id, coalesce(r.input_tokens, 0),
        coalesce(r.cached_input_tokens, 0), coalesce(r.output_tokens, 0),
        coalesce(r.reasoning_tokens, 0), coalesce(r.total_tokens, 0), r.audio_ms,
        r.characters, r.duration_ms, r.ttft_ms, coalesce(r.cancelled, false),
        coalesce(r.estimated, false), r.at, coalesce(r.metadata, '{}'),
        coalesce(r.cache_creation_tokens, 0), coalesce(r.input_audio_tokens, 0),
        coalesce(r.cached_audio_tokens, 0), coalesce(r.output_audio_tokens, 0), r.error, r.revision,
        c.cost, c.price_ids
    from given r
    join models on models.provider is not distinct from r.provider
        and models.model is not distinct from r.model and models.day = r.day
    cross join lateral voice_worker.charge(
        voice_worker.units_of(
            r.input_tokens, r.cached_input_tokens, r.cache_creation_tokens, r.input_audio_tokens,
            r.cached_audio_tokens, r.output_tokens, r.output_audio_tokens, r.characters,
            r.audio_ms, r.metadata
        ),
        models.rates
    ) c
    on conflict (id) do update set
        message_id = excluded.message_id,
        kind = excluded.kind,
        provider = excluded.provider,
        model = excluded.model,
        request_id = excluded.request_id,
        speech_id = excluded.speech_id,
        audio_ms = excluded.audio_ms,
        characters = excluded.characters,
        duration_ms = excluded.duration_ms,
        ttft_ms = excluded.ttft_ms,
        created_at = excluded.created_at,
        input_tokens = excluded.input_tokens,
        cached_input_tokens = excluded.cached_input_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        total_tokens = excluded.total_tokens,
        cancelled = excluded.cancelled,
        estimated = excluded.estimated,
        metadata = excluded.metadata,
        cache_creation_tokens = excluded.cache_creation_tokens,
        input_audio_tokens = excluded.input_audio_tokens,
        cached_audio_tokens = excluded.cached_audio_tokens,
        output_audio_tokens = excluded.output_audio_tokens,
        error = excluded.error,
        revision = excluded.revision,
        cost = excluded.cost,
        price_ids = excluded.price_ids
    where u.revision < excluded.revision
$$;

revoke all on function voice_worker.apply_usage(jsonb, jsonb) from public;
grant execute on function voice_worker.apply_usage(jsonb, jsonb) to voice_worker;
