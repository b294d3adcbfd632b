-- What a Supabase project has besides, made by its superuser after supabase.sql: the sign-in service
-- owns and writes the table of users, on which the database's owner, who migrates and is no superuser,
-- may make triggers; and Realtime has a publication, which is his, empty at first.
do $$
declare
    owner regrole := (select datdba from pg_database where datname = current_database());
begin
    if to_regrole('supabase_auth_admin') is null then
        create role supabase_auth_admin nologin;
    end if;
    execute format('grant usage on schema auth to %s with grant option', owner);
    execute format('grant all on auth.users to %s', owner);
    execute format('alter role %s bypassrls', owner);
    execute format('grant anon, authenticated, service_role to %s with admin option', owner);
    execute format(
        'alter default privileges for role %s in schema public grant all on tables '
        'to anon, authenticated, service_role', owner
    );
    create publication supabase_realtime;
    execute format('alter publication supabase_realtime owner to %s', owner);
end
$$;
alter table auth.users owner to supabase_auth_admin;
grant usage on schema auth to supabase_auth_admin;
