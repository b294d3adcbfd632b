-- migrate:up
-- Rights to what 090 to 092 have added. Their sums over many calls are in 097.
grant select (generated_content, turn_completed_delay_ms, first_sentence_ms, playout_delay_ms)
    on public.voice_messages to service_role;
grant select (turn_completed_delay_ms, first_sentence_ms, playout_delay_ms)
    on public.voice_messages to voice_reader;
grant select (
    cache_creation_tokens, input_audio_tokens, cached_audio_tokens, output_audio_tokens, error,
    price_ids
) on public.voice_usage to voice_reader;
grant select (usage_gaps) on public.voice_calls to voice_reader;
grant select on public.turn_costs, public.model_prices to voice_reader;
drop policy if exists model_prices_reader_select on public.model_prices;
create policy model_prices_reader_select on public.model_prices for select to voice_reader
    using (true);

call voice_worker.schema_reached(95, 60);

-- migrate:down
