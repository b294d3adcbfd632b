-- What the enhanced file needs on plain Postgres: somebody made it by hand.
create schema auth;
create function auth.uid() returns uuid language sql stable as $$
    select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
do $$
begin
    if to_regrole('authenticated') is null then
        create role authenticated nologin;
    end if;
    if to_regrole('anon') is null then
        create role anon nologin;
    end if;
end
$$;
grant usage on schema auth, public to authenticated, anon;
alter default privileges in schema public grant all on tables to authenticated, anon;
