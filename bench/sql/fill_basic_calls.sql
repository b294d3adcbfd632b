insert into voice_calls (
    id, room_name, caller_id, callee_id, call_type, status, started_at, connected_at, ended_at,
    duration_seconds, metadata, created_at
)
select gen_random_uuid(), 'room-' || n % 900000,
    case when n % 4 = 0 then 'guest-' || n
        else '00000000-0000-4000-8000-' || lpad((n % 10000)::text, 12, '0') end,
    case when n % 3 = 0 then '00000000-0000-4000-8000-' || lpad((n % 9999)::text, 12, '0') end,
    (array['support', 'user-to-user', 'conference'])[n % 3 + 1],
    case when n % 20 = 0 then 'missed' when n % 50 = 1 then 'failed' else 'completed' end,
    at, at + interval '3 seconds', at + interval '4 minutes', 237, '{"plan": "gold"}', at
from (
    select n, now() - n * interval '30 seconds' as at from generate_series(1, $1::int) n
) made
