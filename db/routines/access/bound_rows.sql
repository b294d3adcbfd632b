-- Raises PT429 once a user's transaction has written more rows or bytes than he may in a minute: before
-- it has made them all. bytes: of this row's long values. Locks: none. Called by: the triggers of rows,
-- nobody else.
create or replace function voice_worker.bound_rows(bytes bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    rows_now constant bigint :=
        coalesce(nullif(current_setting('voice_worker.rows_written', true), '')::bigint, 0) + 1;
    bytes_now constant bigint :=
        coalesce(nullif(current_setting('voice_worker.bytes_written', true), '')::bigint, 0)
        + coalesce(bytes, 0);
begin
    perform set_config('voice_worker.rows_written', rows_now::text, true);
    perform set_config('voice_worker.bytes_written', bytes_now::text, true);
    if exists (
        select from voice_worker.user_limits l
        where rows_now > l.rows_per_minute or bytes_now > l.bytes_per_minute
    ) then
        raise sqlstate 'PT429' using
            message = 'too much in one transaction',
            hint = 'Write fewer at once, or have your server write them (service_role).';
    end if;
end
$$;

revoke all on function voice_worker.bound_rows(bigint) from public;
