-- An answer with the steps that led to it, those of hearing from the caller's turn right before.
--
-- With the reader's rights. Read by: authenticated, service_role, voice_reader.
create or replace view public.turn_latency with (security_invoker = true) as
select
    a.call_id, a.id as message_id, h.id as heard_message_id, a.timestamp, a.sequence_number,
    a.model_used, a.interrupted, h.transcription_delay_ms, h.end_of_turn_delay_ms,
    h.turn_completed_delay_ms, a.llm_ttft_ms, a.first_sentence_ms, a.tts_ttfb_ms,
    a.playout_delay_ms, a.e2e_latency_ms
from public.voice_messages a
left join lateral (
    select
        u.id, u.role, u.transcription_delay_ms, u.end_of_turn_delay_ms, u.turn_completed_delay_ms
    from public.voice_messages u
    where u.call_id = a.call_id and u.role in ('user', 'assistant')
        and (u.timestamp, u.sequence_number) < (a.timestamp, a.sequence_number)
    order by u.timestamp desc, u.sequence_number desc
    limit 1
) h on h.role = 'user'
where a.role = 'assistant';

comment on view public.turn_latency is
    'Where the time of each answer went, ms; null: not known, or the caller had said nothing before';

revoke all on public.turn_latency from public, anon, authenticated;
grant select on public.turn_latency to authenticated, service_role, voice_reader;
