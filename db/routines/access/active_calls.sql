-- Ids of the active calls. Under row level security Postgres may not look up status in an index, since
-- comparing an enum is not leakproof, and does not know how few calls are active: with a bad plan, an
-- admin's summary read the whole table. It may look up ids.
--
-- With the owner's rights; the caller's policies then filter these ids. Locks: none. Called by:
-- active_calls_summary, for authenticated and service_role; nobody can name its schema.
create or replace function voice_access.active_calls() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp rows 50 as $$
    select id from public.voice_calls where status = 'active'
$$;

revoke all on function voice_access.active_calls() from public;
grant execute on function voice_access.active_calls() to authenticated, service_role;
