-- Rows of the basic schema: callers who are users and who are not, every status, a room used again.
insert into voice_calls (
    id, room_name, caller_id, callee_id, call_type, status, started_at, connected_at, ended_at,
    duration_seconds, recording_url, transcript, metadata, created_at
)
select md5('call' || n)::uuid,
    case when n % 10 = 0 then 'support' else 'room-' || n end,
    case when n % 3 = 0 then 'guest-' || n
        else upper('00000000-0000-4000-8000-' || lpad((n % 25 + 1)::text, 12, '0')) end,
    case n % 4 when 1 then '00000000-0000-4000-8000-' || lpad((n % 20 + 1)::text, 12, '0')
        when 2 then 'helpdesk' end,
    (array['support', 'user-to-user', 'conference'])[n % 3 + 1],
    (array['pending', 'ringing', 'connected', 'completed', 'missed', 'failed'])[n % 6 + 1],
    now() - n * interval '1 hour',
    case when n % 6 in (2, 3) then now() - n * interval '1 hour' + interval '4 seconds' end,
    case when n % 6 > 2 then now() - n * interval '1 hour' + interval '64 seconds' end,
    case n % 6 when 3 then 60 when 4 then 63 end,
    case when n % 7 = 0 then 's3://recordings/' || n end,
    case when n % 5 = 0 then 'transcript ' || n end,
    case n % 4 when 0 then '{}' when 1 then '{"plan": "gold", "call_type": "theirs"}'
        when 2 then '["a list"]' end::jsonb,
    now() - n * interval '1 hour'
from generate_series(1, 240) n;
insert into call_participants (
    call_id, user_id, participant_name, joined_at, left_at, duration_seconds, is_muted
)
select c.id, p.who, case p.who when c.caller_id then 'Ada' end, c.created_at,
    c.ended_at, case when c.ended_at is not null then 64 when c.status = 'pending' then 5 end, p.muted
from voice_calls c, lateral (
    values (lower(c.caller_id), false), ('agent', null), ('00000000-0000-4000-8000-000000000003x', true)
) p (who, muted);
