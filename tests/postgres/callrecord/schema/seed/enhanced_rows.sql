-- Rows as that schema let them come about: no duration where the call never connected, two messages
-- under one number, messages without any, totals that a delete left behind.
insert into voice_calls (
    id, user_id, session_id, room_name, status, started_at, connected_at, created_at, metadata
)
select md5('call' || n)::uuid, ('00000000-0000-4000-8000-' || lpad((n % 20 + 1)::text, 12, '0'))::uuid,
    'call-' || n, 'Support Call', 'active', now() - n * interval '1 hour',
    case when n % 3 > 0 then now() - n * interval '1 hour' + interval '5 seconds' end,
    now() - n * interval '1 hour', jsonb_build_object('n', n)
from generate_series(1, 60) n;
insert into voice_messages (call_id, role, content, sequence_number, tokens_used, timestamp)
select c.id, (case when m % 2 = 0 then 'assistant' else 'user' end)::message_role,
    'message ' || m, case when m = 4 then 3 when m = 6 then null else m end, m * 10,
    c.created_at + m * interval '1 second'
from voice_calls c, generate_series(1, 6) m;
delete from voice_messages where content = 'message 2' and call_id = md5('call7')::uuid;
insert into call_participants (
    call_id, user_id, participant_identity, participant_name, participant_type, joined_at
)
select c.id, c.user_id, c.user_id::text, 'Ada', 'user', c.created_at from voice_calls c
union all
select c.id, null, 'agent', 'Agent', case when c.session_id = 'call-9' then 'robot' else 'agent' end,
    c.created_at from voice_calls c;
update call_participants set left_at = joined_at + interval '90 seconds' where participant_type = 'user';
update voice_calls set status = 'completed', ended_at = started_at + interval '2 minutes'
where session_id <> 'call-60';
update voice_calls set total_tokens_used = null, metadata = null where session_id = 'call-59';
