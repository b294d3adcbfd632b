-- Ends those of these rows that still wait for an agent and whose rooms do not exist.
--
-- sweeper: the calling worker; nothing is done until it has watched long enough. candidates: the rows.
-- older_than: as for unserved.
-- Locks: as sweep_calls, without waiting. Result: how many; null if the sweeper may not sweep yet.
-- Called by: voice_worker.
create or replace function voice_worker.end_unserved(
    sweeper uuid, candidates uuid[], older_than interval
) returns int
language sql set search_path = pg_catalog, pg_temp as $$
    select coalesce((
        voice_worker.sweep_calls(array(
            select u.id from voice_worker.unserved(older_than) u where u.id = any (candidates)
        ), null) ->> 'nobody'
    )::int, 0)
    from voice_worker.workers w
    where w.id = sweeper and voice_worker.watched_for(sweeper) > w.lost_after
$$;

revoke all on function voice_worker.end_unserved(uuid, uuid[], interval) from public;
grant execute on function voice_worker.end_unserved(uuid, uuid[], interval) to voice_worker;
