-- The caller and the agent; in one call of thirty a second user instead of a nameless guest.
insert into public.call_participants (
    call_id, user_id, participant_identity, participant_name, participant_type, kind, joined_at,
    left_at, duration_seconds, participant_sid, disconnect_reason
)
select
    p.id,
    case when l.agent then null when p.n % 30 = 0 then
        ('00000000-0000-4000-8000-' || lpad((1 + p.n % $1::int)::text, 12, '0'))::uuid
    else p.user_id end,
    case when l.agent then 'agent-AJ_' else 'caller-' end || p.n,
    case when l.agent then null else 'Ada Example' end,
    case when l.agent then 'agent' else 'user' end,
    case when l.agent then 'agent' else 'standard' end,
    p.created_at + interval '1 second',
    case when p.ended then p.created_at + interval '1 second' * (p.seconds + 1) end,
    case when p.ended then p.seconds end,
    'PA_' || p.n, case when p.ended then 'client_initiated' end
from part p cross join (values (false), (true)) l (agent)
order by p.created_at
