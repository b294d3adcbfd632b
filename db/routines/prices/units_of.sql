-- What a request used, as units in the order of the rates. Cached, cache-creation and audio tokens lie
-- inside the input: each is taken out of it, so that none is paid twice. Cached audio is among both.
--
-- Arguments: columns of voice_usage; null counts as 0. Locks: none. Result: eleven numbers, the last of
-- them 1 for the request itself. Called by: voice_worker. Without a search_path of its own, so that
-- Postgres can put it in place of the call: its names are bound when it is made.
create or replace function voice_worker.units_of(
    input_tokens int, cached_input_tokens int, cache_creation_tokens int, input_audio_tokens int,
    cached_audio_tokens int, output_tokens int, output_audio_tokens int, characters int, audio_ms int,
    metadata jsonb
) returns numeric[]
language sql immutable parallel safe
return array[
    greatest(0, coalesce(input_tokens, 0) - coalesce(input_audio_tokens, 0)
        - coalesce(cache_creation_tokens, 0)
        - greatest(0, coalesce(cached_input_tokens, 0) - coalesce(cached_audio_tokens, 0))),
    greatest(0, coalesce(cached_input_tokens, 0) - coalesce(cached_audio_tokens, 0)),
    coalesce(cache_creation_tokens, 0),
    greatest(0, coalesce(output_tokens, 0) - coalesce(output_audio_tokens, 0)),
    greatest(0, coalesce(input_audio_tokens, 0) - coalesce(cached_audio_tokens, 0)),
    coalesce(cached_audio_tokens, 0),
    coalesce(output_audio_tokens, 0),
    coalesce(characters, 0),
    coalesce(audio_ms, 0) / 1000.0,
    case when jsonb_typeof(metadata -> 'session_ms') = 'number'
        then (metadata ->> 'session_ms')::numeric / 1000 else 0 end,
    1
];

revoke all on function
    voice_worker.units_of(int, int, int, int, int, int, int, int, int, jsonb) from public;
grant execute on function
    voice_worker.units_of(int, int, int, int, int, int, int, int, int, jsonb) to voice_worker;
