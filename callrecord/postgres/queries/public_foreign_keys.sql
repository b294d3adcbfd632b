select
    k.conname::text as name,
    t.relname::text as relation,
    f.relname::text as referenced,
    array(
        select a.attname::text
        from unnest(k.conkey) with ordinality as u (number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number
        order by u.place
    ) as columns,
    array(
        select a.attname::text
        from unnest(k.confkey) with ordinality as u (number, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number
        order by u.place
    ) as referenced_columns,
    exists (
        select from pg_constraint u
        where u.conrelid = k.conrelid and u.contype in ('p', 'u')
        and u.conkey @> k.conkey and u.conkey <@ k.conkey
    ) as one_to_one
from pg_constraint k
join pg_class t on t.oid = k.conrelid
join pg_class f on f.oid = k.confrelid
where k.contype = 'f'
and t.relnamespace = 'public'::regnamespace
and f.relnamespace = 'public'::regnamespace
order by k.conname collate "C"
