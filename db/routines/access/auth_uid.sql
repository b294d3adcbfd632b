-- auth.uid(): the id of the signed-in user, or null. Supabase has it; elsewhere this creates it, and
-- replaces our earlier versions.
--
-- PostgREST 9 and newer give all claims as one JSON setting, older versions one setting per claim. A
-- sub that is not a uuid (the id of another sign-in service) raises 22P02 in auth.uid_of, which is
-- called only for such values. auth.uid() itself is an expression that Postgres inlines into each
-- query; in PL/pgSQL it cost each query more than all policies together.
-- Locks: none. Called by: everybody who may use the schema auth.
do $$
declare
    uid_of constant text := $body$
begin
    return sub::uuid;
exception when invalid_text_representation then
    raise exception 'the token''s sub must be a uuid, the users.id of who is signed in; it is "%"',
        left(sub, 64)
        using errcode = 'invalid_text_representation',
        hint = 'Give PostgREST a token of your own whose sub is the users.id.';
end
$body$;
    sub constant text := $sub$coalesce(
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
            nullif(current_setting('request.jwt.claim.sub', true), '')
        )$sub$;
    body constant text := '
        select case when ' || sub || ' like ''________-____-____-____-____________''
        then ' || sub || '::uuid
        else auth.uid_of(' || sub || ') end
    ';
    earlier constant text := '
        select ' || sub || '::uuid
    ';
    found text := (select prosrc from pg_proc where oid = to_regprocedure('auth.uid()'));
begin
    if to_regnamespace('auth') is null then
        create schema auth;
    end if;
    if found is null or found in (body, earlier) then
        execute format(
            'create or replace function auth.uid_of(sub text) returns uuid '
            'language plpgsql immutable strict as %L', uid_of
        );
        execute format(
            'create or replace function auth.uid() returns uuid language sql stable as %L', body
        );
        grant usage on schema auth to anon, authenticated, service_role;
    end if;
end
$$;
