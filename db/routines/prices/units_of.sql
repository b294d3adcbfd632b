-- What a request used, as units in the order of the rates. Cached, cache-creation and audio tokens lie
-- inside the input: each is taken out of it, so that none is paid twice. Cached audio is among both.
--
-- u: the request. Locks: none. Result: eleven numbers. Called by: voice_worker.
create or replace function voice_worker.units_of(u public.voice_usage) returns numeric[]
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
    select array[
        greatest(0, u.input_tokens - u.input_audio_tokens - u.cache_creation_tokens
            - greatest(0, u.cached_input_tokens - u.cached_audio_tokens)),
        greatest(0, u.cached_input_tokens - u.cached_audio_tokens),
        u.cache_creation_tokens,
        greatest(0, u.output_tokens - u.output_audio_tokens),
        greatest(0, u.input_audio_tokens - u.cached_audio_tokens),
        u.cached_audio_tokens,
        u.output_audio_tokens,
        coalesce(u.characters, 0),
        coalesce(u.audio_ms, 0) / 1000.0,
        case when jsonb_typeof(u.metadata -> 'session_ms') = 'number'
            then (u.metadata ->> 'session_ms')::numeric / 1000 else 0 end,
        1
    ]
$$;

revoke all on function voice_worker.units_of(public.voice_usage) from public;
grant execute on function voice_worker.units_of(public.voice_usage) to voice_worker;
