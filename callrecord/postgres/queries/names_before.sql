select c.relname as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'voice_before' and c.relname in ('voice_calls', 'call_participants')
order by c.relname desc
