-- A limit of rows or bytes a minute. what: its name, user_rows_per_minute or
-- user_bytes_per_minute; it is changed by
-- `alter database ... set voice_worker.user_rows_per_minute = 1000`. normally: what it is else.
-- Locks: none. Called by: the triggers, nobody else.
create or replace function voice_worker.user_limit(what text, normally bigint) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(nullif(current_setting('voice_worker.' || what, true), '')::bigint, normally)
$$;

revoke all on function voice_worker.user_limit(text, bigint) from public;
