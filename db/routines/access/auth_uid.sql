-- auth.uid(): the id of the signed-in user, or null. Supabase has it; it is made where it is absent.
--
-- PostgREST 9 and newer give all claims as one JSON setting, older ones a setting for each.
-- Locks: none. Called by: everybody who may use the schema auth.
do $$
declare
    body constant text := $body$
        select coalesce(
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
            nullif(current_setting('request.jwt.claim.sub', true), '')
        )::uuid
    $body$;
begin
    if to_regprocedure('auth.uid()') is null then
        if to_regnamespace('auth') is null then
            create schema auth;
        end if;
        execute format('create function auth.uid() returns uuid language sql stable as %L', body);
    end if;
    if (select prosrc from pg_proc where oid = to_regprocedure('auth.uid()')) = body then
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end
$$;
