-- What Supabase brings: its roles, auth.uid(), and grants of everything in public to its roles.
do $$
declare
    wanted name;
begin
    foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
        if to_regrole(wanted::text) is null then
            execute format('create role %I nologin', wanted);
        end if;
    end loop;
end
$$;
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
create schema auth;
create table auth.users (id uuid primary key, email text);
create function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
    )::uuid /* Supabase's own */
$$;
grant usage on schema auth to anon, authenticated, service_role;
