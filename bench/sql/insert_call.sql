insert into public.voice_calls (
    id, session_id, room_name, room_sid, started_at, connected_at, ai_agent_used, job_id
)
values ($1, $2, $2, $3, $4, $4, true, $5)
