-- All that can be compared of a database, as kind, name and definition. Every list in it is sorted, so
-- that the order in which things were made does not show.
with ours as materialized (
    select oid from pg_namespace
    where nspname in ('public', 'voice_worker', 'voice_access', 'voice_before', 'auth')
), relations as materialized (
    select c.oid from pg_class c
    where c.relnamespace in (select oid from ours) and c.relname not like 'schema_migrations%'
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
)
select 'schema' as kind, n.nspname::text, concat_ws(' ', 'acl', pg_temp.rights(n.nspacl, 'n', n.nspowner),
    'comment', obj_description(n.oid, 'pg_namespace'))
from pg_namespace n where n.oid in (select oid from ours) and n.nspname <> 'public'
union all
select 'table' as kind, c.oid::regclass::text, concat_ws(' ', c.relkind, c.relpersistence,
    'options', (select string_agg(o, ',' order by o) from unnest(c.reloptions) o),
    'rls', c.relrowsecurity, c.relforcerowsecurity,
    'acl', pg_temp.rights(c.relacl, 'r', c.relowner),
    'comment', obj_description(c.oid, 'pg_class'),
    case when c.relkind = 'v' then pg_get_viewdef(c.oid) end)
from pg_class c
where c.oid in (select oid from relations) and c.relkind in ('r', 'v', 'm', 'p', 'f', 'S')
union all
select 'column' as kind, c.oid::regclass::text || '.' || a.attname, concat_ws(' ',
    'place', row_number() over (partition by c.oid order by a.attnum),
    format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
    'default', pg_get_expr(d.adbin, d.adrelid), 'identity', nullif(a.attidentity, ''),
    'generated', nullif(a.attgenerated, ''), 'storage', a.attstorage,
    'statistics', nullif(a.attstattarget, -1), a.attoptions,
    'acl', pg_temp.rights(a.attacl, 'c', c.relowner),
    'comment', col_description(c.oid, a.attnum))
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.oid in (select oid from relations) and c.relkind in ('r', 'v', 'm', 'p', 'f', 'c')
union all
select 'constraint' as kind, c.oid::regclass || '.' || o.conname, concat_ws(' ',
    pg_get_constraintdef(o.oid), 'validated', o.convalidated,
    'comment', obj_description(o.oid, 'pg_constraint'))
from pg_constraint o join pg_class c on c.oid = o.conrelid where c.oid in (select oid from relations)
union all
select 'index' as kind, i.indexrelid::regclass::text, concat_ws(' ', pg_get_indexdef(i.indexrelid),
    'valid', i.indisvalid, 'options', x.reloptions,
    'comment', obj_description(i.indexrelid, 'pg_class'))
from pg_index i join pg_class c on c.oid = i.indrelid
join pg_class x on x.oid = i.indexrelid where c.oid in (select oid from relations)
union all
select 'trigger' as kind, c.oid::regclass || '.' || t.tgname, concat_ws(' ', pg_get_triggerdef(t.oid),
    'enabled', t.tgenabled, 'comment', obj_description(t.oid, 'pg_trigger'))
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where not t.tgisinternal and c.oid in (select oid from relations)
union all
select 'policy' as kind, c.oid::regclass || '.' || p.polname, concat_ws(' ', p.polcmd, p.polpermissive,
    'to', (
        select string_agg(coalesce(nullif(r, 0)::regrole::text, 'public'), ','
            order by nullif(r, 0)::regrole::text)
        from unnest(p.polroles) r
    ),
    'using', pg_get_expr(p.polqual, p.polrelid),
    'check', pg_get_expr(p.polwithcheck, p.polrelid),
    'comment', obj_description(p.oid, 'pg_policy'))
from pg_policy p join pg_class c on c.oid = p.polrelid where c.oid in (select oid from relations)
union all
select 'function' as kind, p.oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(p.oid),
    'acl', pg_temp.rights(p.proacl, 'f', p.proowner),
    'comment', obj_description(p.oid, 'pg_proc'))
from pg_proc p where p.pronamespace in (select oid from ours)
    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    and p.prokind <> 'a'
union all
select 'type' as kind, t.oid::regtype::text, concat_ws(' ', t.typtype, (
        select string_agg(e.enumlabel, ',' order by e.enumsortorder) from pg_enum e
        where e.enumtypid = t.oid
    ), 'acl', pg_temp.rights(t.typacl, 'T', t.typowner),
    'comment', obj_description(t.oid, 'pg_type'))
from pg_type t left join pg_class c on c.oid = t.typrelid
where t.typnamespace in (select oid from ours) and (t.typtype in ('e', 'd', 'r') or c.relkind = 'c')
union all
select 'default privilege' as kind,
    concat_ws(' ', coalesce(n.nspname, 'everywhere'), d.defaclobjtype, a.grantee::regrole),
    string_agg(a.privilege_type, ' ' order by a.privilege_type)
from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
cross join aclexplode(d.defaclacl) a group by 2
union all
select 'role' as kind, r.rolname, concat_ws(' ', r.rolcanlogin, r.rolinherit, r.rolbypassrls, r.rolsuper,
    r.rolcreaterole, r.rolcreatedb, r.rolreplication, (
        select string_agg(s.setconfig::text, ' ' order by s.setdatabase)
        from pg_db_role_setting s where s.setrole = r.oid
    ))
from pg_roles r
where r.rolname in ('anon', 'authenticated', 'service_role', 'voice_worker', 'voice_reader')
