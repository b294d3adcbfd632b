select coalesce(string_agg(w.home || '.' || w.name, ', ' order by w.home, w.name), '') as columns
from unnest($1::text[], $2::text[]) w (home, name)
where not exists (
    select from pg_attribute a
    where a.attrelid = to_regclass('public.' || w.home) and a.attname = w.name
        and a.attnum > 0 and not a.attisdropped
)
