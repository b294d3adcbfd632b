-- Rights to our own table of users: signed-in users read their own row, service_role reads everything.
-- A team's own table is not touched, nor is ours once this was done.
--
-- Locks: users against everybody, for a moment, once: when it is new, or restored where no roles were.
do $$
declare
    policies constant name[] := array(
        select polname from pg_policy where polrelid = 'public.users'::regclass
    );
begin
    if not voice_access.users_are_ours() then
        return;
    end if;
    if policies = '{}' then
        revoke all on public.users from public, anon, authenticated;
        grant select on public.users to authenticated;
        grant all on public.users to service_role;
        create policy users_select_own on public.users for select to authenticated
            using (id = (select auth.uid()));
    end if;
    if 'users_service_all' <> all (policies) then
        create policy users_service_all on public.users for all to service_role
            using (true) with check (true);
    end if;
end
$$;
