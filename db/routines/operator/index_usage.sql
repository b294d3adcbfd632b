-- Use and sizes of the indexes of our tables. In the private schema, because it is no user's business
-- and PostgREST would offer it.
--
-- Read by: voice_reader, the owner.
create or replace view voice_worker.index_usage as
select
    s.schemaname || '.' || s.relname as table_name,
    s.indexrelname as index_name,
    s.idx_scan as scans,
    s.idx_tup_read as entries_read,
    pg_relation_size(s.indexrelid) as bytes,
    i.indisunique as keeps_rows_unique,
    d.stats_reset as counted_since
from pg_stat_user_indexes s
join pg_index i on i.indexrelid = s.indexrelid
join pg_stat_database d on d.datname = current_database()
where s.schemaname = 'voice_worker' or s.relid in (
    'public.voice_calls'::regclass, 'public.voice_messages'::regclass,
    'public.call_participants'::regclass, 'public.voice_usage'::regclass
);
comment on column voice_worker.index_usage.counted_since is 'Null: since the database was made';

grant select on voice_worker.index_usage to voice_reader;
