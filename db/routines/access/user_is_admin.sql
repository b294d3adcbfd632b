-- Whether an id is an admin's. The worker can read only this and user_exists about users.
--
-- candidate: the id. Locks: none. With the owner's rights. Called by: voice_worker.
create or replace function voice_worker.user_is_admin(candidate uuid) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (select from public.users where id = candidate and role::text = 'admin')
$$;

revoke all on function voice_worker.user_is_admin(uuid) from public;
grant execute on function voice_worker.user_is_admin(uuid) to voice_worker;
