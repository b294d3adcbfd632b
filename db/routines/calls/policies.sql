-- Which rows of voice_calls a role may read and write. "(select f())" is computed once per query, "f()"
-- once per row. No policy here reads another table under row level security, so nothing recurses.
--
-- Reading: admins all calls, users their own calls and those they were in or called in. Policies are
-- joined by OR, and the check for an admin comes first: otherwise Postgres would look up the owner of
-- each row for admins too.
-- Writing: users their own calls, admins and the worker all. The name that a user gives to a call can't
-- block others (calls/free_name.sql). voice_reader reads the columns it is granted.
-- service_role has a policy too: without BYPASSRLS, as on some managed Postgres, it would see no row.
alter table public.voice_calls enable row level security;
drop policy if exists voice_calls_select_own on public.voice_calls;
create policy voice_calls_select_own on public.voice_calls for select to authenticated
    using (
        (select voice_access.is_admin())
        or user_id = (select auth.uid())
        or id in (select voice_access.calls_taken_part_in())
    );
drop policy if exists voice_calls_insert_own on public.voice_calls;
create policy voice_calls_insert_own on public.voice_calls for insert to authenticated
    with check (user_id = (select auth.uid()));
drop policy if exists voice_calls_update_own on public.voice_calls;
create policy voice_calls_update_own on public.voice_calls for update to authenticated
    using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
drop policy if exists voice_calls_delete_own on public.voice_calls;
create policy voice_calls_delete_own on public.voice_calls for delete to authenticated
    using (user_id = (select auth.uid()));
drop policy if exists voice_calls_admin_all on public.voice_calls;
create policy voice_calls_admin_all on public.voice_calls for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_calls_worker_all on public.voice_calls;
create policy voice_calls_worker_all on public.voice_calls for all to voice_worker
    using (true) with check (true);
drop policy if exists voice_calls_service_all on public.voice_calls;
create policy voice_calls_service_all on public.voice_calls for all to service_role
    using (true) with check (true);
drop policy if exists voice_calls_reader_select on public.voice_calls;
create policy voice_calls_reader_select on public.voice_calls for select to voice_reader
    using (true);
