-- Calls with the number of their messages. To be asked for a user's calls or for a span of time: it
-- counts messages call by call.
--
-- With the reader's rights. Read by: authenticated, service_role. Not by voice_reader: session_id is the
-- room's name, in which a phone number may stand.
create or replace view public.call_analytics with (security_invoker = true) as
select
    c.id,
    c.session_id,
    c.user_id,
    c.status,
    c.duration_seconds,
    c.ai_agent_used,
    c.total_tokens_used,
    m.message_count,
    m.user_message_count,
    m.assistant_message_count,
    c.created_at,
    c.ended_at
from public.voice_calls c
left join lateral (
    select
        count(*) as message_count,
        count(*) filter (where v.role = 'user') as user_message_count,
        count(*) filter (where v.role = 'assistant') as assistant_message_count
    from public.voice_messages v
    where v.call_id = c.id
) m on true;

revoke all on public.call_analytics from public, anon, authenticated, voice_reader;
grant select on public.call_analytics to authenticated, service_role;
