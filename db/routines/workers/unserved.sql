-- Rows that wait for an agent, have not changed for a time, and that no worker has claimed. LiveKit's
-- rooms show whether they are really not served. Calls without an agent, such as those between users,
-- are included only if they never started.
--
-- older_than: that time. Locks: none. Result: id and name of the room. Called by: voice_worker.
create or replace function voice_worker.unserved(older_than interval)
returns table (id uuid, room text)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select c.id, c.session_id from public.voice_calls c
    where c.status in ('pending', 'active') and c.worker_id is null and c.room_sid is null
        and c.ended_at is null and (c.status = 'pending' or c.ai_agent_used)
        and c.created_at < now() - older_than
        and greatest(c.updated_at, c.started_at, c.connected_at) < now() - older_than
$$;

revoke all on function voice_worker.unserved(interval) from public;
grant execute on function voice_worker.unserved(interval) to voice_worker;
