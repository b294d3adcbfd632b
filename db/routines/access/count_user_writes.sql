-- What users write is bounded, so that one of them can't hold up the others. Bound is whoever may not
-- update a whole table of calls: signed-in users, admins among them; not the worker, service_role or the
-- owner. SQLSTATE PT413 and PT429: PostgREST answers with these HTTP statuses.
--
-- Counts what a user has written in this minute, and raises PT429 when it is more
-- than he may. Trigger after each statement, with the transition table "changed"; with the owner's
-- rights. Locks: the user's row in user_writes, so that he waits for himself only. Nobody calls it.
create or replace function voice_worker.count_user_writes() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    writer constant uuid := coalesce(auth.uid(), '00000000-0000-0000-0000-000000000000');
    written record;
begin
    insert into voice_worker.user_writes as w (user_id, minute, rows, bytes)
    select writer, date_trunc('minute', now()), count(*), coalesce(sum(octet_length(c::text)), 0)
    from changed c
    having count(*) > 0
    on conflict (user_id, minute) do update set
        rows = w.rows + excluded.rows, bytes = w.bytes + excluded.bytes
    returning w.rows, w.bytes into written;
    if exists (
        select from voice_worker.user_limits l
        where written.rows > l.rows_per_minute or written.bytes > l.bytes_per_minute
    ) then
        raise sqlstate 'PT429' using
            message = format(
                'too much in one minute: %s rows with %s bytes', written.rows, written.bytes
            ),
            hint = 'Wait a minute, or have your server write them (service_role).';
    end if;
    return null;
end
$$;

revoke all on function voice_worker.count_user_writes() from public;
