select distinct
    h.pid, coalesce(h.usename, '?') as login, coalesce(h.application_name, '') as application,
    coalesce(extract(epoch from now() - h.xact_start), 0)::int as seconds
from pg_locks l join pg_stat_activity h on h.pid = l.pid
where l.relation = to_regclass($1) and l.granted and l.pid <> pg_backend_pid()
    and l.database = (select oid from pg_database where datname = current_database())
order by 1
