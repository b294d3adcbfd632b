-- Frees the name of a new row: a row of the worker or of a server takes the name from any user's row, a
-- user's row from those of other users. An insert whose id already exists takes no name.
--
-- Trigger before insert of one row, with the owner's rights. Locks: as free_name, and for users' rows
-- the name. Nobody calls it.
create or replace function voice_worker.free_name_of_new_call() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from public.voice_calls where id = new.id) then
        return new;
    end if;
    if new.made_by = 'authenticated' then
        -- Of two users who take it at once the second one sees the first one's row. A server may
        -- insert very many rows in one transaction.
        perform pg_advisory_xact_lock(hashtext('voice_worker.name'), hashtext(new.session_id));
    end if;
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
