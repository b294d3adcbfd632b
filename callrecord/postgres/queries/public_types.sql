select
    t.oid::int8 as id,
    t.typname::text as name,
    n.nspname = 'public' as is_public,
    t.typtype::text as kind,
    nullif(t.typbasetype, 0)::int8 as base,
    case when t.typcategory = 'A' then nullif(t.typelem, 0)::int8 end as element,
    array(
        select e.enumlabel::text from pg_enum e where e.enumtypid = t.oid order by e.enumsortorder
    ) as labels
from pg_type t
join pg_namespace n on n.oid = t.typnamespace
order by t.typname collate "C"
