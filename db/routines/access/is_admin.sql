-- Whether the signed-in user is an admin, by users.role.
--
-- Its schema can't be used by name: policies and views call a function by its oid and need only
-- EXECUTE, so users can read through them but can't call the function. With the owner's rights: a
-- policy that reads users itself would recurse.
-- Locks: none. Called by: policies, for authenticated and service_role.
create or replace function voice_access.is_admin() returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select exists (
        select from public.users where id = auth.uid() and role::text = 'admin'
    )
$$;

revoke all on function voice_access.is_admin() from public;
grant execute on function voice_access.is_admin() to authenticated, service_role;
