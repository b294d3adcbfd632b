-- Which rows of voice_messages somebody sees and writes. A message is visible where its call is: the
-- subquery is bound by the policies of voice_calls. An admin is recognized before a row's call is
-- looked up. A user writes what users say, into a call that goes on or is his own; what the agent
-- said and did is written by the worker alone.
alter table public.voice_messages enable row level security;
drop policy if exists voice_messages_select_own on public.voice_messages;
create policy voice_messages_select_own on public.voice_messages for select to authenticated
    using (
        (select voice_access.is_admin())
        or exists (select from public.voice_calls c where c.id = call_id)
    );
drop policy if exists voice_messages_insert_own on public.voice_messages;
create policy voice_messages_insert_own on public.voice_messages for insert to authenticated
    with check (
        role = 'user'
        and exists (
            select from public.voice_calls c
            where c.id = call_id
                and (c.user_id = (select auth.uid()) or c.status in ('pending', 'active'))
        )
    );
drop policy if exists voice_messages_admin_all on public.voice_messages;
create policy voice_messages_admin_all on public.voice_messages for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_messages_worker_all on public.voice_messages;
create policy voice_messages_worker_all on public.voice_messages for all to voice_worker
    using (true) with check (true);
drop policy if exists voice_messages_service_all on public.voice_messages;
create policy voice_messages_service_all on public.voice_messages for all to service_role
    using (true) with check (true);
drop policy if exists voice_messages_reader_select on public.voice_messages;
create policy voice_messages_reader_select on public.voice_messages for select to voice_reader
    using (true);
