-- The few calls that have not ended, from their index. Under row level security Postgres does not know
-- how many rows have a status (comparing an enum is not leakproof), and would read the whole table.
--
-- Locks: none. Called by: voice_worker.
create or replace function voice_worker.open_calls()
returns table (id uuid, worker_id uuid, status public.call_status, created_at timestamptz)
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
    select c.id, c.worker_id, c.status, c.created_at from public.voice_calls c
    where c.status in ('pending', 'active')
$$;

revoke all on function voice_worker.open_calls() from public;
grant execute on function voice_worker.open_calls() to voice_worker;
