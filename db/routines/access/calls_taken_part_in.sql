-- Calls in which the signed-in user has or had a leg, or was the one called.
--
-- With the owner's rights: a policy that reads legs itself would recurse. Locks: none. Called by:
-- policies, for authenticated and service_role; nobody can name its schema.
create or replace function voice_access.calls_taken_part_in() returns setof uuid
language sql stable security definer set search_path = pg_catalog, pg_temp rows 100 as $$
    select call_id from public.call_participants where user_id = auth.uid()
    union all
    select id from public.voice_calls where callee_id = auth.uid()
$$;

revoke all on function voice_access.calls_taken_part_in() from public;
grant execute on function voice_access.calls_taken_part_in() to authenticated, service_role;
