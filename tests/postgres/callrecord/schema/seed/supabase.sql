-- What Supabase brings: its roles, auth.uid(), grants of everything in public to its roles, and those
-- who have signed up. What only its superuser makes is in supabase_project.sql.
do $$
declare
    wanted name;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        if to_regrole(wanted::text) is null then
            execute format(
                'create role %I nologin %s', wanted,
                case when wanted = 'service_role' then 'bypassrls' else '' end
            );
        end if;
    end loop;
end
$$;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
create schema auth;
create table auth.users (
    id uuid primary key,
    email varchar(255),
    encrypted_password varchar(255),
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    created_at timestamptz default now(),
    is_sso_user boolean not null default false,
    deleted_at timestamptz
);
create unique index users_email_partial_key on auth.users (email) where not is_sso_user;
alter table auth.users enable row level security;
create function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
    )::uuid /* Supabase's own */
$$;
grant usage on schema auth to anon, authenticated, service_role;
