-- migrate:up
-- Supabase grants everything in public to anon and authenticated: take that back, then give by
-- column. Reading is by table, because front ends ask for all columns.
revoke all on public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    from public, anon, authenticated;

grant usage on schema public to authenticated, service_role;
grant select on
    public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    to authenticated;

grant insert (
    id, user_id, session_id, room_name, status, started_at, connected_at, ended_at, recording_url,
    transcript, ai_agent_used, agent_identity, metadata
) on public.voice_calls to authenticated;
grant update (status, started_at, connected_at, ended_at, recording_url, transcript, metadata)
    on public.voice_calls to authenticated;
grant delete on public.voice_calls to authenticated;

-- Update and delete below serve admins: no policy lets a user do either.
grant insert (
    id, call_id, role, content, audio_url, audio_duration_ms, timestamp, sequence_number,
    tokens_used, model_used, metadata
) on public.voice_messages to authenticated;
grant update (content, audio_url, audio_duration_ms, metadata)
    on public.voice_messages to authenticated;
grant delete on public.voice_messages to authenticated;

grant insert (
    id, call_id, user_id, participant_identity, participant_name, participant_type, joined_at,
    left_at, is_muted, metadata
) on public.call_participants to authenticated;
grant update (participant_name, participant_type, left_at, is_muted, metadata)
    on public.call_participants to authenticated;
grant delete on public.call_participants to authenticated;

-- Defaults of columns run with the rights of who inserts.
grant execute on function voice_worker.uuid_v7() to authenticated, service_role, voice_worker;

grant all on
    public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    to service_role;

-- The worker: no delete of what was recorded, nothing of users.
revoke all on public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    from voice_worker;
grant usage on schema public, voice_worker to voice_worker;
grant select, insert, update on
    public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    to voice_worker;
grant select on voice_worker.schema_version, voice_worker.tombstones to voice_worker;
grant select, insert, update, delete on voice_worker.workers, voice_worker.refused_events
    to voice_worker;
grant execute on function voice_worker.user_exists(uuid) to voice_worker;

call voice_worker.schema_reached(41, 20);

-- migrate:down
