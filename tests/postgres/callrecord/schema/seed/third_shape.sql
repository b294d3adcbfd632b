-- A basic schema in the wild, without callee_id, call_type and connected_at, and with other words.
create table voice_calls (
    id uuid primary key default gen_random_uuid(), room_name text, caller_id text, status text,
    started_at timestamp default now(), ended_at timestamp, duration_seconds int,
    recording_url text, transcript text, metadata json, created_at timestamp default now(), tenant int
);
insert into voice_calls (id, room_name, caller_id, status, started_at, ended_at, created_at, metadata,
    tenant)
select md5(room)::uuid, room, '00000000-0000-4000-8000-000000000003', status,
    '2026-01-02 03:04:05', ended, '2026-01-02 03:04:05', '{"plan": "gold"}', 7
from (values
    ('a', 'active', null::timestamp), ('b', 'in-progress', '2026-01-02 03:05:05'),
    ('c', 'ended', '2026-01-02 03:05:05'), ('d', 'error', null), ('e', null, null)
) t (room, status, ended);
