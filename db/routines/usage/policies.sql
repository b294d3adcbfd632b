-- Which rows of voice_usage and its totals a role may read and write. Only the owner of a call and
-- admins see its usage, not every participant. Only admins see the totals; a user's own figures come
-- from the requests of that user's calls.
alter table public.voice_usage enable row level security;
drop policy if exists voice_usage_select_own on public.voice_usage;
create policy voice_usage_select_own on public.voice_usage for select to authenticated
    using (
        (select voice_access.is_admin())
        or exists (
            select from public.voice_calls c
            where c.id = call_id and c.user_id = (select auth.uid())
        )
    );
drop policy if exists voice_usage_admin_all on public.voice_usage;
create policy voice_usage_admin_all on public.voice_usage for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_usage_worker_all on public.voice_usage;
create policy voice_usage_worker_all on public.voice_usage for all to voice_worker
    using (true) with check (true);
drop policy if exists voice_usage_service_all on public.voice_usage;
create policy voice_usage_service_all on public.voice_usage for all to service_role
    using (true) with check (true);
drop policy if exists voice_usage_reader_select on public.voice_usage;
create policy voice_usage_reader_select on public.voice_usage for select to voice_reader
    using (true);

alter table voice_worker.usage_totals enable row level security;
drop policy if exists usage_totals_admin_select on voice_worker.usage_totals;
create policy usage_totals_admin_select on voice_worker.usage_totals for select to authenticated
    using ((select voice_access.is_admin()));
drop policy if exists usage_totals_reader_select on voice_worker.usage_totals;
create policy usage_totals_reader_select on voice_worker.usage_totals for select
    to voice_reader, service_role
    using (true);
