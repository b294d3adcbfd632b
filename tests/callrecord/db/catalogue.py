"""What a database holds, so that two ways to the same schema can be compared."""

from dataclasses import dataclass

import asyncpg

# One query for each kind of object: a name, and all that can be said of it. Every list in them is
# sorted, so that the order in which things were made does not show.
_ACL = """(
    select string_agg(entry, ' ' order by entry) from (
        select concat_ws('/', coalesce(nullif(a.grantee, 0)::regrole::text, 'public'),
            a.privilege_type, case when a.is_grantable then 'grantable' end) as entry
        from aclexplode(coalesce({acl}, acldefault('{kind}', {owner}))) a
        where a.grantee <> {owner}
    ) entries
)"""
_OURS = "('public', 'voice_worker', 'voice_access', 'voice_before', 'auth')"
_NAMESPACE = f"(select oid from pg_namespace where nspname in {_OURS})"
_RELATIONS = (
    f"c.relnamespace in {_NAMESPACE} and c.relname not like 'schema_migrations%' "
    "and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')"
)
_FUNCTIONS = (
    f"p.pronamespace in {_NAMESPACE} "
    "and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
)

QUERIES = {
    "schema": f"""
        select n.nspname, concat_ws(' ', 'acl', {_ACL.format(acl="n.nspacl", kind="n", owner="n.nspowner")},
            'comment', obj_description(n.oid, 'pg_namespace'))
        from pg_namespace n where n.nspname in {_OURS} and n.nspname <> 'public'
        """,
    "table": f"""
        select c.oid::regclass::text, concat_ws(' ', c.relkind, c.relpersistence,
            'options', (select string_agg(o, ',' order by o) from unnest(c.reloptions) o),
            'rls', c.relrowsecurity, c.relforcerowsecurity,
            'acl', {_ACL.format(acl="c.relacl", kind="r", owner="c.relowner")},
            'comment', obj_description(c.oid, 'pg_class'),
            case when c.relkind = 'v' then pg_get_viewdef(c.oid) end)
        from pg_class c where {_RELATIONS} and c.relkind in ('r', 'v', 'm', 'p', 'f', 'S')
        """,
    "column": f"""
        select c.oid::regclass::text || '.' || a.attname, concat_ws(' ',
            'place', row_number() over (partition by c.oid order by a.attnum),
            format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
            'default', pg_get_expr(d.adbin, d.adrelid), 'identity', nullif(a.attidentity, ''),
            'generated', nullif(a.attgenerated, ''), 'storage', a.attstorage,
            'statistics', nullif(a.attstattarget, -1), a.attoptions,
            'acl', (
                select string_agg(concat_ws('/', x.grantee::regrole, x.privilege_type,
                    case when x.is_grantable then 'grantable' end), ' '
                    order by x.grantee::regrole::text, x.privilege_type)
                from aclexplode(a.attacl) x
            ),
            'comment', col_description(c.oid, a.attnum))
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where {_RELATIONS} and c.relkind in ('r', 'v', 'm', 'p', 'f', 'c')
        """,
    "constraint": f"""
        select c.oid::regclass || '.' || o.conname, concat_ws(' ',
            pg_get_constraintdef(o.oid), 'validated', o.convalidated, 'comment', obj_description(o.oid, 'pg_constraint'))
        from pg_constraint o join pg_class c on c.oid = o.conrelid where {_RELATIONS}
        """,
    "index": f"""
        select i.indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(i.indexrelid),
            'valid', i.indisvalid, 'options', x.reloptions,
            'comment', obj_description(i.indexrelid, 'pg_class'))
        from pg_index i join pg_class c on c.oid = i.indrelid
        join pg_class x on x.oid = i.indexrelid where {_RELATIONS}
        """,
    "trigger": f"""
        select c.oid::regclass || '.' || t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid),
            'enabled', t.tgenabled, 'comment', obj_description(t.oid, 'pg_trigger'))
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where not t.tgisinternal and {_RELATIONS}
        """,
    "policy": f"""
        select c.oid::regclass || '.' || p.polname, concat_ws(' ', p.polcmd, p.polpermissive,
            'to', (
                select string_agg(coalesce(nullif(r, 0)::regrole::text, 'public'), ','
                    order by nullif(r, 0)::regrole::text)
                from unnest(p.polroles) r
            ),
            'using', pg_get_expr(p.polqual, p.polrelid),
            'check', pg_get_expr(p.polwithcheck, p.polrelid),
            'comment', obj_description(p.oid, 'pg_policy'))
        from pg_policy p join pg_class c on c.oid = p.polrelid where {_RELATIONS}
        """,
    "function": f"""
        select p.oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(p.oid),
            'acl', {_ACL.format(acl="p.proacl", kind="f", owner="p.proowner")},
            'comment', obj_description(p.oid, 'pg_proc'))
        from pg_proc p where {_FUNCTIONS} and p.prokind <> 'a'
        """,
    "type": f"""
        select t.oid::regtype::text, concat_ws(' ', t.typtype, (
                select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e
                where e.enumtypid = t.oid
            ), 'acl', {_ACL.format(acl="t.typacl", kind="T", owner="t.typowner")},
            'comment', obj_description(t.oid, 'pg_type'))
        from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typnamespace in {_NAMESPACE} and (t.typtype in ('e', 'd', 'r') or c.relkind = 'c')
        """,
    "default privilege": """
        select concat_ws(' ', coalesce(n.nspname, 'everywhere'), d.defaclobjtype, a.grantee::regrole),
            string_agg(a.privilege_type, ' ' order by a.privilege_type)
        from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
        cross join aclexplode(d.defaclacl) a group by 1
        """,
    "role": """
        select r.rolname, concat_ws(' ', r.rolcanlogin, r.rolinherit, r.rolbypassrls, r.rolsuper,
            r.rolcreaterole, r.rolcreatedb, r.rolreplication, (
                select string_agg(s.setconfig::text, ' ' order by s.setdatabase)
                from pg_db_role_setting s where s.setrole = r.oid
            ))
        from pg_roles r
        where r.rolname in ('anon', 'authenticated', 'service_role', 'voice_worker', 'voice_reader')
        """,
}
Catalogue = dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that two databases do not have alike; None: it is not there."""

    name: str
    one: str | None
    other: str | None


async def catalogue(url: str) -> Catalogue:
    """Return all that the database holds, `<kind> <name>` with its definition, in their order."""
    connection = await asyncpg.connect(url)
    try:
        found = {
            f"{kind} {row[0]}": str(row[1])
            for kind, query in QUERIES.items()
            for row in await connection.fetch(query)
        }
    finally:
        await connection.close()
    return dict(sorted(found.items()))


def differences(one: Catalogue, other: Catalogue) -> list[Difference]:
    """Return what is not the same in both, by name."""
    return [
        Difference(name, one.get(name), other.get(name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


async def rows(url: str) -> Catalogue:
    """Return a checksum over the rows of each table, with their number, by the table's name."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            f"""
            select c.oid::regclass::text as name from pg_class c
            where {_RELATIONS} and c.relkind in ('r', 'p')
                and c.oid is distinct from to_regclass('voice_worker.schema_version')
            """
        )
        found = {}
        for table in tables:
            row = await connection.fetchrow(
                f"""
                select count(*), md5(string_agg(to_jsonb(t)::text, '|' order by to_jsonb(t)::text))
                from {table["name"]} t
                """
            )
            assert row is not None
            found[table["name"]] = f"{row[0]} {row[1]}"
    finally:
        await connection.close()
    return dict(sorted(found.items()))
