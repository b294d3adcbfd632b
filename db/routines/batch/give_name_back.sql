-- Restores a call's name after another row had taken it (free_name); the call of the room has the right
-- to the name. If a call holds it rightfully, or another session takes it right now, the row keeps its
-- other name: no call is lost for a name.
--
-- target: the claimed row. name: the name of its room. Locks: as free_name. Called by: voice_worker,
-- by take_call.
create or replace function voice_worker.give_name_back(target uuid, name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.free_name(name, null);
    update public.voice_calls set session_id = name where id = target;
exception when unique_violation then
    null;
end
$$;

revoke all on function voice_worker.give_name_back(uuid, text) from public;
grant execute on function voice_worker.give_name_back(uuid, text) to voice_worker;
