"""What a database holds, so that two ways to the same schema can be compared."""

import asyncpg

CATALOGUE = """
select 'column' as kind, c.table_schema || '.' || c.table_name || '.' || c.column_name as name,
    concat_ws(' ', c.data_type, c.is_nullable, c.column_default) as definition
from information_schema.columns c
where c.table_schema in ('public', 'voice_worker') and c.table_name <> 'schema_migrations'
union all select 'index', indexname, indexdef from pg_indexes
where schemaname in ('public', 'voice_worker') and tablename <> 'schema_migrations'
union all select 'policy', tablename || '.' || policyname,
    concat_ws(' ', roles, cmd, qual, with_check)
from pg_policies
union all select 'trigger', tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
union all select 'function', p.oid::regprocedure::text,
    concat_ws(' ', p.prosrc, p.prosecdef::text, (
        select string_agg(acl::text, ' ' order by acl::text) from unnest(p.proacl) acl
    ))
from pg_proc p
where pronamespace = any (array['voice_worker', 'voice_access', 'public']::regnamespace[])
union all select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
union all select 'grant', oid::regclass::text,
    (select string_agg(acl::text, ' ' order by acl::text) from unnest(relacl) acl)
from pg_class
where relnamespace in ('public'::regnamespace, 'voice_worker'::regnamespace)
and relname not like 'schema_migrations%'
union all select 'schema', nspname, '' from pg_namespace where nspname like 'voice%'
order by 1, 2
"""
Catalogue = list[tuple[str, str, str]]


async def catalogue(url: str) -> Catalogue:
    """Return what the database holds of ours, by kind and name."""
    connection = await asyncpg.connect(url)
    try:
        return [(row[0], row[1], row[2]) for row in await connection.fetch(CATALOGUE)]
    finally:
        await connection.close()
