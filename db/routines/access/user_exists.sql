-- Whether an id is a user's. The worker can read only this and user_is_admin about users.
--
-- candidate: the id. Locks: none. With the owner's rights. Called by: voice_worker.
create or replace function voice_worker.user_exists(candidate uuid) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (select from public.users where id = candidate)
$$;

revoke all on function voice_worker.user_exists(uuid) from public;
grant execute on function voice_worker.user_exists(uuid) to voice_worker;
