select
    id, user_id, session_id, room_name, status, started_at, connected_at, ended_at,
    duration_seconds, recording_url, transcript, ai_agent_used, agent_identity,
    metadata::text as metadata, total_tokens_used, created_at, updated_at, room_sid, job_id,
    job_started_at, worker_id, end_reason, swept_at, usage_complete, cost, callee_id,
    made_by, usage_gaps, unpriced_requests, transcript_digest
from public.voice_calls
where id = $1
