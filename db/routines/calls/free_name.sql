-- Takes a name (session_id) from a row that has no right to it: one that a user created, and that no
-- room session has claimed. A user who takes the name of another person's next call therefore blocks
-- nobody: that row is renamed to name@ and an unpredictable id.
--
-- name: the name that is needed. for_user: a row of this user keeps the name; null for none.
-- Locks: the row that is renamed. Called by: voice_worker, and the trigger.
create or replace function voice_worker.free_name(name text, for_user uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update public.voice_calls v
    set session_id = left(v.session_id, 218) || '@' || voice_worker.uuid_v7()
    where v.session_id = name and v.room_sid is null and v.worker_id is null
        and v.made_by = 'authenticated' and (for_user is null or v.user_id is distinct from for_user)
$$;

revoke all on function voice_worker.free_name(text, uuid) from public;
grant execute on function voice_worker.free_name(text, uuid) to voice_worker;
