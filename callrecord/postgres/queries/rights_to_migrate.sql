select
    (select rolcreaterole or rolsuper from pg_roles where rolname = current_user) as makes_roles,
    array(
        select w from unnest(array[
            'anon', 'authenticated', 'service_role', 'voice_worker', 'voice_reader'
        ]) w where to_regrole(w) is null
    ) as missing_roles,
    array(
        select c.oid::regclass::text from pg_class c
        where c.oid in (
            to_regclass('public.voice_calls'), to_regclass('public.voice_messages'),
            to_regclass('public.call_participants'), to_regclass('public.voice_usage'),
            to_regclass('public.model_prices')
        ) and not pg_has_role(c.relowner, 'usage')
        order by 1
    ) as not_owned,
    has_database_privilege(current_database(), 'create') as makes_schemas,
    has_schema_privilege('public', 'create') or to_regclass('public.voice_calls') is not null
        as makes_tables
