-- Gives a call its name back that somebody else had taken meanwhile (free_name): the room decides
-- whose it is. Where a call has it by right, or somebody takes it just now, the row keeps the other
-- one: a name costs no call.
--
-- target: the row, which is claimed. name: that of its room. Locks: as free_name. Called by:
-- voice_worker, by take_call.
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
