-- Columns of tables and views in public that a role may read, and what it may write of them.
select
    c.relname::text as relation,
    c.relkind in ('v', 'm') as of_view,
    a.attname::text as name,
    a.atttypid::int8 as type,
    not a.attnotnull as nullable,
    not a.attnotnull or a.atthasdef or a.attidentity <> '' as optional,
    w.writable and has_column_privilege($1, c.oid, a.attnum, 'insert') as insertable,
    w.writable and has_column_privilege($1, c.oid, a.attnum, 'update') as updatable
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
cross join lateral (
    select c.relkind in ('r', 'p', 'f') and a.attgenerated = '' and a.attidentity <> 'a' as writable
) w
where c.relnamespace = 'public'::regnamespace
and c.relkind in ('r', 'p', 'f', 'v', 'm')
and not c.relispartition
and has_column_privilege($1, c.oid, a.attnum, 'select')
and not exists (
    select from pg_depend d
    where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
)
order by c.relname collate "C", a.attname collate "C"
