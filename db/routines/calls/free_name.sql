-- Takes a name (session_id) from a row that holds it in vain: one that a user made himself, and that
-- no session of a room has claimed. Whoever takes a name ahead, such as that of somebody's next call,
-- holds nobody up: his row goes on as name@ and an id that nobody can know beforehand.
--
-- name: the name that is needed. for_user: a row of this user keeps it, null for nobody's.
-- Locks: the row that gives it up. Called by: voice_worker, and the trigger.
create or replace function voice_worker.free_name(name text, for_user uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v
    set session_id = left(v.session_id, 218) || '@' || voice_worker.uuid_v7()
    where v.session_id = name and v.room_sid is null and v.worker_id is null
        and v.made_by = 'authenticated' and (for_user is null or v.user_id is distinct from for_user)
$$;

revoke all on function voice_worker.free_name(text, uuid) from public;
grant execute on function voice_worker.free_name(text, uuid) to voice_worker;
