-- migrate:up
-- Both run with the rights of who reads them.

-- Calls that go on now, with those who are in the room.
create or replace view public.active_calls_summary with (security_invoker = true) as
select
    c.id,
    c.session_id,
    c.room_name,
    c.user_id,
    u.name as user_name,
    u.email as user_email,
    c.status,
    c.started_at,
    c.ai_agent_used,
    p.participant_count,
    p.participants
from public.voice_calls c
left join lateral voice_access.visible_user(c.user_id) u on true
left join lateral (
    select
        count(*) as participant_count,
        coalesce(array_agg(present.name order by present.name), '{}') as participants
    from (
        select distinct on (l.participant_identity)
            coalesce(l.participant_name, l.participant_identity)::text as name
        from public.call_participants l
        where l.call_id = c.id and l.left_at is null
        order by l.participant_identity, l.joined_at desc
    ) present
) p on true
where c.status = 'active';

-- To be asked for a user's calls or for a span of time: it counts messages call by call.
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

revoke all on public.active_calls_summary, public.call_analytics from public, anon, authenticated;
grant select on public.active_calls_summary, public.call_analytics to authenticated, service_role;

call voice_worker.schema_reached(50, 20);

-- migrate:down
