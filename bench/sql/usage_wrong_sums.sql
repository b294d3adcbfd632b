-- Messages and calls whose tokens are not those of their requests.
select
    (
        select count(*) from public.voice_messages m
        where m.tokens_used <> coalesce((
            select sum(u.total_tokens) from public.voice_usage u
            where u.message_id = m.id and u.kind in ('llm', 'realtime')
        ), 0)
    ) as messages,
    (
        select count(*) from public.voice_calls c
        where c.total_tokens_used <> coalesce((
            select sum(u.total_tokens) from public.voice_usage u
            where u.call_id = c.id and u.kind in ('llm', 'realtime')
        ), 0)
    ) as calls,
    (select count(*) from public.voice_calls where not usage_complete) as incomplete,
    (select count(*) from public.voice_messages where interrupted and role = 'assistant')
        as interrupted,
    (select count(*) from public.voice_messages where metadata ->> 'kind' = 'tool_call') as tools
