insert into public.voice_messages (
    id, call_id, role, content, timestamp, tokens_used, model_used, metadata,
    participant_identity, speech_id, speech_started_at, speech_ended_at, transcription_delay_ms,
    end_of_turn_delay_ms, audio_duration_ms, revision
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
