-- Ends those of these legs that are open, with the current time: their people have left the room.
--
-- ids: of legs. Locks: the legs that change. Called by: voice_worker.
create or replace function voice_worker.end_legs(ids uuid[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.call_participants p set left_at = greatest(p.joined_at, now())
    where p.id = any (ids) and p.left_at is null
$$;

revoke all on function voice_worker.end_legs(uuid[]) from public;
grant execute on function voice_worker.end_legs(uuid[]) to voice_worker;
