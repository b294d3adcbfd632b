-- Trigger before insert of one row: a row of the worker's or of a server takes the name from any user's,
-- a user's row from those of other users. With the owner's rights. Locks: as free_name. Nobody calls it.
create or replace function voice_worker.free_name_of_new_call() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.free_name(
        new.session_id, case when new.made_by = 'authenticated' then new.user_id end
    );
    return new;
end
$$;

revoke all on function voice_worker.free_name_of_new_call() from public;

create or replace trigger voice_calls_free_name_trigger
    before insert on public.voice_calls
    for each row execute function voice_worker.free_name_of_new_call();
