-- active_calls_summary for a login that may not read it, because of the users in it.
select
    c.id, c.session_id, c.room_name, c.user_id, null::text as user_name, null::text as user_email,
    c.status, c.started_at, c.ai_agent_used, count(p.name) as participant_count,
    coalesce(array_agg(p.name order by p.name) filter (where p.name is not null), '{}')
        as participants
from public.voice_calls c
left join lateral (
    select distinct on (l.participant_identity)
        coalesce(l.participant_name, l.participant_identity)::text as name
    from public.call_participants l
    where l.call_id = c.id and l.left_at is null
    order by l.participant_identity, l.joined_at desc
) p on true
where c.status = 'active'
group by c.id
order by c.started_at desc nulls last, c.id desc
