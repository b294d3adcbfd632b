insert into public.voice_calls (
    id, user_id, session_id, room_name, status, started_at, connected_at, ended_at,
    duration_seconds, ai_agent_used, agent_identity, metadata, total_tokens_used, created_at,
    updated_at, room_sid, job_id, job_started_at, worker_id, end_reason, usage_complete, cost
)
select
    id, user_id, 'call-' || n, 'Support Call',
    (case when not ended then 'active' when n % 16 = 0 then 'failed' else 'completed' end)
        ::public.call_status,
    created_at, created_at + interval '1 second',
    case when ended then created_at + interval '1 second' * (seconds + 1) end,
    case when ended then seconds end,
    true, 'agent-AJ_' || n, '{"topic": "delivery"}', replies * 200, created_at, created_at,
    'RM_' || n, 'AJ_' || n, created_at, '00000000-0000-4000-8000-000000000000',
    case when not ended then null when n % 16 = 0 then 'error' else 'caller_hangup' end,
    ended, case when n % 3 > 0 then replies * 0.0012 end
from part
order by created_at
