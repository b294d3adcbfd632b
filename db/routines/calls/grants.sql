-- Rights to voice_calls: users may read the whole table, because front ends select all columns, and may
-- write single columns; the policies limit the rows. The worker may not delete records. voice_reader
-- may read figures, but no words and no names of people. (session_id is the room's name, which may
-- contain a phone number.)
grant select, delete on public.voice_calls to authenticated;
grant insert (
    id, user_id, session_id, room_name, status, started_at, connected_at, ended_at, recording_url,
    transcript, ai_agent_used, agent_identity, metadata
) on public.voice_calls to authenticated;
grant update (status, started_at, connected_at, ended_at, recording_url, transcript, metadata)
    on public.voice_calls to authenticated;
grant select, insert, update, delete on public.voice_calls to service_role;
grant select, insert, update on public.voice_calls to voice_worker;
revoke select (session_id) on public.voice_calls from voice_reader;
grant select (
    id, user_id, callee_id, status, started_at, connected_at, ended_at,
    duration_seconds, ai_agent_used, agent_identity, total_tokens_used, created_at, updated_at,
    room_sid, job_id, job_started_at, worker_id, end_reason, swept_at, usage_complete, usage_gaps,
    cost, unpriced_requests, made_by
) on public.voice_calls to voice_reader;
