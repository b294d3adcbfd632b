-- Counts the rows that a user writes in a minute, and raises PT429 above the limit, before the row is
-- stored, so that a refused write takes no space.
--
-- Writes of users are limited, so that one user can't slow down the others. The limits apply to a
-- login that may not update a whole table of calls: signed-in users, also admins; not the worker,
-- service_role or the owner. PostgREST answers PT413 and PT429 with these HTTP statuses.
--
-- bytes: the size of the row. Locks: the user's row in user_writes, so that users wait only for
-- themselves.
-- Called by: the triggers of rows, nobody else.
create or replace function voice_worker.count_user_write(bytes bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    written record;
begin
    insert into voice_worker.user_writes as w (user_id, minute, rows, bytes)
    values (
        coalesce(auth.uid(), '00000000-0000-0000-0000-000000000000'), date_trunc('minute', now()), 1,
        bytes
    )
    on conflict (user_id, minute) do update set rows = w.rows + 1, bytes = w.bytes + excluded.bytes
    returning w.rows, w.bytes into written;
    if exists (
        select from voice_worker.user_limits l
        where written.rows > l.rows_per_minute or written.bytes > l.bytes_per_minute
    ) then
        raise sqlstate 'PT429' using
            message = format(
                'too much in one minute or transaction: %s rows with %s bytes', written.rows,
                written.bytes
            ),
            hint = 'Wait a minute, or have your server write them (service_role).';
    end if;
end
$$;

revoke all on function voice_worker.count_user_write(bigint) from public;
