-- One sweep: ends calls of workers without a heartbeat for longer than their limit. A limit of 100
-- workers and 50 calls keeps it short, even with long transcripts; if it ended calls, there may be more.
-- Also deletes rows that are no longer needed (prune).
--
-- sweeper: the calling worker; it must have watched for longer than the limits.
-- Locks: one sweep at a time (an advisory lock, without waiting); first the rows of the lost workers,
-- so that a concurrent heartbeat waits or is seen; then calls. Nothing here waits for a lock, so it
-- can't deadlock.
-- Result: {"state": "swept", "lost": {worker: calls}}, or "watching" with the seconds that it still has
-- to watch, or "another" while another worker sweeps. Called by: voice_worker.
create or replace function voice_worker.sweep(sweeper uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    own_limit constant interval := (select lost_after from voice_worker.workers where id = sweeper);
    watched constant interval := coalesce(voice_worker.watched_for(sweeper), '0');
    lost uuid[];
    swept jsonb := '{}';
begin
    if own_limit is null or watched <= own_limit then
        return jsonb_build_object(
            'state', 'watching', 'seconds', extract(epoch from own_limit - watched)
        );
    end if;
    if not pg_try_advisory_xact_lock(hashtext('voice_worker'), hashtext('sweep')) then
        return jsonb_build_object('state', 'another');
    end if;
    -- Locked: a heartbeat that comes just now waits, or is there and seen. Calls come after workers,
    -- and nothing here waits for a lock: nobody can wait in a circle.
    lost := array(
        select w.id from voice_worker.workers w
        where w.heartbeat_at < now() - greatest(w.lost_after, own_limit)
            and watched > greatest(w.lost_after, own_limit)
            and w.id in (select o.worker_id from voice_worker.open_calls() o)
        order by w.id limit 100
        for update skip locked
    );
    if cardinality(lost) > 0 then
        swept := voice_worker.sweep_calls(array(
            select o.id from voice_worker.open_calls() o where o.worker_id = any (lost)
            order by o.id limit 50
        ), lost);
        update voice_worker.workers w set
            lost_at = now(), swept_calls = w.swept_calls + (swept ->> w.id::text)::int
        where w.id = any (lost) and swept ? w.id::text;
    end if;
    perform voice_worker.prune();
    return jsonb_build_object('state', 'swept', 'lost', swept);
end
$$;

revoke all on function voice_worker.sweep(uuid) from public;
grant execute on function voice_worker.sweep(uuid) to voice_worker;
