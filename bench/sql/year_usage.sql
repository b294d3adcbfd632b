-- Three requests for each answer, one of each kind. Speech has no tokens, and one language model in
-- three no price.
insert into public.voice_usage (
    call_id, message_id, kind, provider, model, request_id, input_tokens, cached_input_tokens,
    output_tokens, total_tokens, audio_ms, characters, duration_ms, ttft_ms, cost, created_at
)
select
    p.id, m.id, k.kind, 'openai',
    case k.kind when 'llm' then (array['gpt-4.1', 'gpt-4.1-mini', 'gpt-4o-mini'])[1 + p.n % 3]
        when 'stt' then 'gpt-4o-mini-transcribe' else 'gpt-4o-mini-tts' end,
    'req_' || p.n || '_' || m.sequence_number,
    k.tokens * 9 / 10, k.tokens / 2, k.tokens / 10, k.tokens,
    case when k.kind <> 'llm' then 3000 end, case when k.kind = 'tts' then 90 end,
    700, 250,
    case when k.kind <> 'llm' then 0.0003 when p.n % 3 > 0 then 0.0006 end,
    m.timestamp
from part p
join public.voice_messages m on m.call_id = p.id and m.role = 'assistant'
cross join (values ('llm', 200), ('stt', 0), ('tts', 0)) k (kind, tokens)
order by m.timestamp
