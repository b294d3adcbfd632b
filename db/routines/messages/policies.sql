-- Which rows of voice_messages a role may read and write. A message is visible if its call is: the
-- policies of voice_calls apply to the subquery. The check for an admin comes before the lookup of a
-- row's call. Users write only messages of users, into an active call or their own; only the worker
-- writes what the agent said and did.
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
