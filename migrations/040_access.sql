-- migrate:up
-- What the policies and views ask. They live in a schema that nobody may use by name: policies and
-- views reach a function by its oid and need only EXECUTE, so a user can read through them and
-- cannot call them. SECURITY DEFINER: a policy that reads users or legs itself would recurse.
create schema if not exists voice_access;
revoke all on schema voice_access from public;

create or replace function voice_access.is_admin() returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select from public.users where id = auth.uid() and role::text = 'admin'
    )
$$;

-- Calls the signed-in user has or had a leg in.
create or replace function voice_access.calls_taken_part_in() returns setof uuid
language sql stable security definer set search_path = '' rows 100 as $$
    select call_id from public.call_participants where user_id = auth.uid()
$$;

-- Name and e-mail of a user: for himself, for admins, and for roles that row level security does
-- not bind anyway (the owner of users, service_role). The setting "role" still names the caller here.
create or replace function voice_access.visible_user(of_user uuid)
returns table (name text, email text)
language sql stable security definer set search_path = '' rows 1 as $$
    select u.name::text, u.email::text
    from public.users u
    where u.id = of_user and (
        u.id = auth.uid()
        or voice_access.is_admin()
        or exists (
            select from pg_catalog.pg_roles r, pg_catalog.pg_class c
            where c.oid = 'public.users'::regclass
            and r.rolname = coalesce(nullif(current_setting('role'), 'none'), session_user)
            and (r.rolsuper or r.rolbypassrls or r.oid = c.relowner)
        )
    )
$$;

revoke all on all functions in schema voice_access from public;
grant execute on all functions in schema voice_access to authenticated, service_role;

call voice_worker.schema_reached(40, 20);

-- migrate:down
