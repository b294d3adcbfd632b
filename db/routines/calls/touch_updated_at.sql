-- updated_at is the time of the last statement that changed the call.
--
-- Trigger before update of one row. Locks: none. Nobody calls it.
create or replace function voice_worker.touch_updated_at() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    new.updated_at := now();
    return new;
end
$$;

revoke all on function voice_worker.touch_updated_at() from public;

create or replace trigger voice_calls_updated_at_trigger
    before update on public.voice_calls
    for each row when (old.* is distinct from new.*)
    execute function voice_worker.touch_updated_at();
