-- Functions in public that a role may call by their arguments' names.
select
    p.proname::text as name,
    p.proretset as returns_set,
    p.prorettype::int8 as returns,
    coalesce(p.proallargtypes, p.proargtypes::oid[])::int8[] as types,
    p.proargmodes::text[] as modes,
    p.proargnames as names,
    p.pronargs - p.pronargdefaults as required
from pg_proc p
where p.pronamespace = 'public'::regnamespace
and p.prokind = 'f'
and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
and has_function_privilege($1, p.oid, 'execute')
and not exists (
    select from pg_depend d
    where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
)
order by p.proname collate "C", p.oid::regprocedure::text collate "C"
