-- Whose figures to return: a user's id, or null for everybody's. A signed-in user who is not an admin
-- gets their own figures: everybody's would return the same rows, but would scan all others too.
--
-- of_user: the user that was asked for, or null. Locks: none. Called by: authenticated, service_role,
-- voice_reader, inside the functions of figures; nobody can name its schema.
create or replace function voice_access.whose_figures(of_user uuid) returns uuid
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case
        when of_user is null
            and coalesce(nullif(current_setting('role'), 'none'), session_user) = 'authenticated'
            and not voice_access.is_admin()
        then auth.uid()
        else of_user
    end
$$;

revoke all on function voice_access.whose_figures(uuid) from public;
grant execute on function voice_access.whose_figures(uuid) to authenticated, service_role, voice_reader;
