-- Active calls and their participants. The active calls are found before the policies are checked
-- (voice_access.active_calls). Only the user and admins see the user's name and e-mail.
--
-- With the reader's rights. Read by: authenticated, service_role.
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
where c.id in (select voice_access.active_calls()) and c.status = 'active';

revoke all on public.active_calls_summary from public, anon, authenticated;
grant select on public.active_calls_summary to authenticated, service_role;
