-- Ids of the calls that go on now. Under row level security Postgres may neither look up status in an
-- index, since comparing an enum is not leakproof, nor know how few calls are active: in an unlucky
-- plan an admin's summary read the whole table. Ids it may look up.
--
-- With the owner's rights; the policies are asked for each of them afterwards. Locks: none. Called by:
-- active_calls_summary, for authenticated and service_role; nobody can name its schema.
create or replace function voice_access.active_calls() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp rows 50 as $$
    select id from public.voice_calls where status = 'active'
$$;

revoke all on function voice_access.active_calls() from public;
grant execute on function voice_access.active_calls() to authenticated, service_role;
