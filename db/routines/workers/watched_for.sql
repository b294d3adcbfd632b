-- How long the sweeper's own heartbeats have had no gap: another worker's missing heartbeats mean
-- something only if the sweeper's own arrived all that time.
--
-- sweeper: its id. Locks: none. Result: null if they have stopped. Called by: voice_worker.
create or replace function voice_worker.watched_for(sweeper uuid) returns interval
language sql stable set search_path = pg_catalog, pg_temp as $$
    select now() - w.unbroken_since from voice_worker.workers w
    where w.id = sweeper and w.heartbeat_at >= now() - w.lost_after / 3
$$;

revoke all on function voice_worker.watched_for(uuid) from public;
grant execute on function voice_worker.watched_for(uuid) to voice_worker;
