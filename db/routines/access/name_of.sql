-- The name of a user of auth.users, as the user or a sign-in provider gave it.
--
-- told: raw_user_meta_data, which the user may write; only the name is read from it.
-- Locks: none. Result: null if there is none. Called by: follow_auth_user, and the owner.
create or replace function voice_access.name_of(told jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select left(coalesce(nullif(told ->> 'full_name', ''), nullif(told ->> 'name', '')), 255)
$$;

revoke all on function voice_access.name_of(jsonb) from public;
