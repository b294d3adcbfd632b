select
    id, call_id, role, content, audio_url, audio_duration_ms, timestamp, sequence_number,
    tokens_used, model_used, metadata::text as metadata, interrupted, participant_identity,
    speech_id, speech_started_at, speech_ended_at, transcription_delay_ms, end_of_turn_delay_ms,
    llm_ttft_ms, tts_ttfb_ms, e2e_latency_ms, revision, generated_content,
    turn_completed_delay_ms, first_sentence_ms, playout_delay_ms
from public.voice_messages
where call_id = $1 and role in ('user', 'assistant')
order by timestamp, sequence_number
