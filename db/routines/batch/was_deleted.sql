-- Whether the owner of a call has deleted it, so that its late events are discarded.
--
-- wanted_sid: LiveKit's id of the room session. named: id of the row that a front end named, or null.
-- own_key is ignored: any user can create such a tombstone, by creating a call with that id and deleting
-- it. It stays an argument because a routine whose arguments change needs a new name.
-- Locks: none. Result: true or false. Called by: voice_worker.
create or replace function voice_worker.was_deleted(
    wanted_sid text, own_key uuid, named uuid
) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from voice_worker.tombstones
        where room_sid = wanted_sid or call_id = named
    )
$$;

revoke all on function voice_worker.was_deleted(text, uuid, uuid) from public;
grant execute on function voice_worker.was_deleted(text, uuid, uuid) to voice_worker;
