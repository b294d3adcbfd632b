-- Raises PT413 if a value is too large. what: its column; bytes: its size, or null; most: the largest
-- size. Locks: none. Called by: the triggers, nobody else.
create or replace function voice_worker.bound_size(what text, bytes int, most int) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if bytes > most then
        raise sqlstate 'PT413' using
            message = format('%s has %s bytes, at most %s can be stored', what, bytes, most);
    end if;
end
$$;

revoke all on function voice_worker.bound_size(text, int, int) from public;
