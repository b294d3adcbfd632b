-- Rights to voice_usage and its totals. No user writes what a call consumed. The totals are out of
-- reach by name: only usage_statistics reads them for users. voice_reader reads figures.
grant select on public.voice_usage to authenticated;
grant select, insert, update, delete on public.voice_usage to service_role;
grant select, insert, update on public.voice_usage to voice_worker;
grant select (
    id, call_id, message_id, kind, provider, model, request_id, speech_id, input_tokens,
    cached_input_tokens, cache_creation_tokens, input_audio_tokens, cached_audio_tokens,
    output_tokens, output_audio_tokens, reasoning_tokens, total_tokens, audio_ms, characters,
    duration_ms, ttft_ms, cancelled, estimated, error, cost, price_ids, created_at, revision
) on public.voice_usage to voice_reader;
grant select on voice_worker.usage_totals to authenticated, service_role, voice_reader;
