-- A caller's turn and the agent's answer, 2 to 8 times a call; calls of the same minutes lie mixed
-- on the pages, as workers write them.
insert into public.voice_messages (
    call_id, role, content, timestamp, sequence_number, tokens_used, model_used,
    participant_identity, speech_id, speech_started_at, speech_ended_at, audio_duration_ms,
    transcription_delay_ms, end_of_turn_delay_ms, turn_completed_delay_ms, llm_ttft_ms,
    first_sentence_ms, tts_ttfb_ms, playout_delay_ms, e2e_latency_ms, revision
)
select
    p.id,
    (case when t.agent then 'assistant' else 'user' end)::public.message_role,
    left($1::text, 30 + (random() * 120)::int),
    t.at, t.place, case when t.agent then 200 else 0 end,
    case when t.agent then 'gpt-4.1-mini' else 'gpt-4o-mini-transcribe' end,
    case when t.agent then 'agent-AJ_' else 'caller-' end || p.n,
    case when t.agent then 'speech_' || p.n || '_' || t.place end,
    t.at - interval '3 seconds', t.at, 3000,
    case when not t.agent then 150 + t.slow end, case when not t.agent then 500 + t.slow end,
    case when not t.agent then 2 end, case when t.agent then 180 + t.slow end,
    case when t.agent then 320 + 2 * t.slow end, case when t.agent then 120 + t.slow / 2 end,
    case when t.agent then 20 + t.slow / 10 end, case when t.agent then 600 + 3 * t.slow end, 1
from part p
cross join lateral (
    select
        place, place % 2 = 0 as agent,
        -- Most are quick, some take very long.
        (-150 * ln(1 - random()))::int as slow,
        p.created_at + interval '1 second' * p.seconds * place / (2 * p.replies) as at
    from generate_series(1, 2 * p.replies) place
) t
order by t.at
