-- Raises PT429 once a user's transaction has written more rows than he may in a minute:
-- before it has made them all. Locks: none. Called by: the triggers of rows, nobody else.
create or replace function voice_worker.bound_rows() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    written constant bigint :=
        coalesce(nullif(current_setting('voice_worker.rows_written', true), '')::bigint, 0) + 1;
begin
    perform set_config('voice_worker.rows_written', written::text, true);
    if written > (select rows_per_minute from voice_worker.user_limits) then
        raise sqlstate 'PT429' using
            message = 'too many rows in one transaction',
            hint = 'Write fewer at once, or have your server write them (service_role).';
    end if;
end
$$;

revoke all on function voice_worker.bound_rows() from public;
