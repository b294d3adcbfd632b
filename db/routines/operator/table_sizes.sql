-- Sizes and rows of our tables. In the private schema, because it is no user's business and PostgREST
-- would offer it.
--
-- Read by: voice_reader, the owner.
create or replace view voice_worker.table_sizes as
select
    s.schemaname || '.' || s.relname as table_name,
    s.n_live_tup as estimated_rows,
    s.n_dead_tup as dead_rows,
    pg_table_size(s.relid) as table_bytes,
    pg_indexes_size(s.relid) as index_bytes,
    pg_total_relation_size(s.relid) as total_bytes,
    greatest(s.last_vacuum, s.last_autovacuum) as vacuumed_at
from pg_stat_user_tables s
where s.schemaname = 'voice_worker' or s.relid in (
    'public.voice_calls'::regclass, 'public.voice_messages'::regclass,
    'public.call_participants'::regclass, 'public.voice_usage'::regclass
);

grant select on voice_worker.table_sizes to voice_reader;
