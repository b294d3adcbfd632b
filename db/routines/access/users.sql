-- Rights to our own table of users, which 100_tables.sql makes where there is none: who is signed in
-- reads his own row, service_role everything. A team's table of users is its own and not touched: ours
-- is known by its columns, and by having row level security without any policy.
--
-- Locks: users against everybody, for a moment, once: when it is new, or restored where no roles were.
do $$
begin
    if (
        select array_agg(attname || ' ' || format_type(atttypid, atttypmod) order by attnum)
        from pg_attribute
        where attrelid = 'public.users'::regclass and attnum > 0 and not attisdropped
    ) is distinct from array[
        'id uuid', 'name character varying(255)', 'email character varying(255)',
        'role character varying(50)'
    ] or not (
        select relrowsecurity from pg_class where oid = 'public.users'::regclass
    ) or exists (
        select from pg_policy where polrelid = 'public.users'::regclass
    ) then
        return;
    end if;
    revoke all on public.users from public, anon, authenticated;
    grant select on public.users to authenticated;
    grant all on public.users to service_role;
    create policy users_service_all on public.users for all to service_role
        using (true) with check (true);
    create policy users_select_own on public.users for select to authenticated
        using (id = (select auth.uid()));
end
$$;
