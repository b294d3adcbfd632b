-- Rights to voice_messages: reading by table for users, because front ends ask for all columns,
-- writing by column; the policies say which rows. Update and delete serve admins: no policy lets a user
-- do either. The worker deletes nothing that was recorded. voice_reader reads figures: nothing that was
-- said, and nothing that names a person.
grant select, delete on public.voice_messages to authenticated;
grant insert (
    id, call_id, role, content, audio_url, audio_duration_ms, timestamp, sequence_number,
    tokens_used, model_used, metadata
) on public.voice_messages to authenticated;
grant update (content, audio_url, audio_duration_ms, metadata)
    on public.voice_messages to authenticated;
grant select, insert, update, delete on public.voice_messages to service_role;
grant select (generated_content, turn_completed_delay_ms, first_sentence_ms, playout_delay_ms)
    on public.voice_messages to service_role;
grant select, insert, update on public.voice_messages to voice_worker;
grant select (
    id, call_id, role, audio_duration_ms, timestamp, sequence_number, tokens_used, model_used,
    interrupted, speech_id, speech_started_at, speech_ended_at, transcription_delay_ms,
    end_of_turn_delay_ms, turn_completed_delay_ms, llm_ttft_ms, first_sentence_ms, tts_ttfb_ms,
    playout_delay_ms, e2e_latency_ms, revision
) on public.voice_messages to voice_reader;
