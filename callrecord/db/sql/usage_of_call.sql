select
    id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
    cached_input_tokens, output_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
    duration_ms, ttft_ms, cancelled, estimated, cost, created_at, metadata::text as metadata,
    revision, cache_creation_tokens, input_audio_tokens, cached_audio_tokens, output_audio_tokens,
    error, price_ids
from public.voice_usage
where call_id = $1
order by created_at, id
