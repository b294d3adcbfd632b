select distinct
    h.pid, coalesce(h.usename, '?') as login, coalesce(h.application_name, '') as application,
    coalesce(extract(epoch from now() - h.xact_start), 0)::int as seconds
from pg_stat_activity w
cross join lateral unnest(pg_blocking_pids(w.pid)) b (pid)
join pg_stat_activity h on h.pid = b.pid
where w.application_name = $1 and h.application_name is distinct from $1
order by 1
