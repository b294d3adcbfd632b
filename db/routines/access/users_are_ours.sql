-- Whether public.users is our own table, which 100_tables.sql creates if there is none. A team's own
-- table is not touched. Ours is recognized by its columns, and by row level security with no policies
-- but ours.
--
-- Locks: none. Called by: the owner, while routines are applied.
create or replace function voice_access.users_are_ours() returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select c.relrowsecurity
        and not exists (
            select from pg_policy where polrelid = c.oid
                and polname not in ('users_select_own', 'users_service_all')
        )
        and (
            select array_agg(attname || ' ' || format_type(atttypid, atttypmod) order by attnum)
            from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
        ) = array[
            'id uuid', 'name character varying(255)', 'email character varying(255)',
            'role character varying(50)'
        ]
    from pg_class c where c.oid = 'public.users'::regclass
$$;

revoke all on function voice_access.users_are_ours() from public;
