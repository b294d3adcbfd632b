-- Name and e-mail of a user, shown to that user, to admins, and to roles that bypass row level security
-- anyway (the owner of users, service_role). The setting "role" still names the caller in here.
--
-- of_user: the user. Locks: none. Result: one row, or none. With the owner's rights. Called by: views
-- and figures, for authenticated, service_role and voice_reader; nobody can name its schema.
create or replace function voice_access.visible_user(of_user uuid)
returns table (name text, email text)
language sql stable security definer set search_path = pg_catalog, pg_temp rows 1 as $$
    select u.name::text, u.email::text
    from public.users u
    where u.id = of_user and (
        u.id = auth.uid()
        or voice_access.is_admin()
        or exists (
            select from pg_catalog.pg_roles r, pg_catalog.pg_class c
            where c.oid = 'public.users'::regclass
            and r.rolname = coalesce(nullif(current_setting('role'), 'none'), session_user)
            and (
                r.rolsuper or r.rolbypassrls or r.oid = c.relowner or r.rolname = 'service_role'
            )
        )
    )
$$;

revoke all on function voice_access.visible_user(uuid) from public;
grant execute on function voice_access.visible_user(uuid) to authenticated, service_role, voice_reader;
