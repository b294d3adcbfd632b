-- Records that a worker stops with everything shipped: it has no open rows, and its calls have ended.
--
-- me: its id. Locks: its row and those of the directories it ships. Called by: voice_worker.
create or replace function voice_worker.leave(me uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update voice_worker.workers w set
        heartbeat_at = now(), stopped_at = now(), shipped_by = null,
        backlog_events = 0, backlog_bytes = 0, backlog_seconds = 0
    where w.id = me or w.shipped_by = me
$$;

revoke all on function voice_worker.leave(uuid) from public;
grant execute on function voice_worker.leave(uuid) to voice_worker;
