insert into public.voice_messages (
    id, call_id, role, content, timestamp, tokens_used, model_used, metadata,
    participant_identity, speech_id, speech_started_at, speech_ended_at, transcription_delay_ms,
    end_of_turn_delay_ms, audio_duration_ms, revision
)
select *
from unnest(
    $1::uuid[], $2::uuid[], $3::public.message_role[], $4::text[], $5::timestamptz[], $6::int[],
    $7::text[], $8::jsonb[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[],
    $13::int[], $14::int[], $15::int[], $16::bigint[]
)
