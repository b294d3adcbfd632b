-- migrate:up
-- "(select f())" is computed once for a query, "f()" for each row. A message, leg or request is
-- visible where its call is: the subqueries on voice_calls are bound by that table's own policies,
-- which read no other table under row level security, so nothing recurses.
alter table public.voice_calls enable row level security;
alter table public.voice_messages enable row level security;
alter table public.call_participants enable row level security;
alter table public.voice_usage enable row level security;

drop policy if exists voice_calls_select_own on public.voice_calls;
create policy voice_calls_select_own on public.voice_calls for select to authenticated
    using (
        user_id = (select auth.uid())
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

drop policy if exists voice_messages_select_own on public.voice_messages;
create policy voice_messages_select_own on public.voice_messages for select to authenticated
    using (exists (select from public.voice_calls c where c.id = call_id));
-- What the agent said and did is written by the worker alone.
drop policy if exists voice_messages_insert_own on public.voice_messages;
create policy voice_messages_insert_own on public.voice_messages for insert to authenticated
    with check (
        role = 'user'
        and coalesce(tokens_used, 0) between 0 and 1000000
        and exists (select from public.voice_calls c where c.id = call_id)
    );
drop policy if exists voice_messages_admin_all on public.voice_messages;
create policy voice_messages_admin_all on public.voice_messages for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists voice_messages_worker_all on public.voice_messages;
create policy voice_messages_worker_all on public.voice_messages for all to voice_worker
    using (true) with check (true);

drop policy if exists call_participants_select_own on public.call_participants;
create policy call_participants_select_own on public.call_participants for select to authenticated
    using (
        user_id = (select auth.uid())
        or exists (select from public.voice_calls c where c.id = call_id)
    );
-- A leg opens the call to whoever has it: only the call's owner adds one, and only his own.
drop policy if exists call_participants_insert_own on public.call_participants;
create policy call_participants_insert_own on public.call_participants for insert to authenticated
    with check (
        (user_id is null or user_id = (select auth.uid()))
        and exists (
            select from public.voice_calls c
            where c.id = call_id and c.user_id = (select auth.uid())
        )
    );
drop policy if exists call_participants_admin_all on public.call_participants;
create policy call_participants_admin_all on public.call_participants for all to authenticated
    using ((select voice_access.is_admin())) with check ((select voice_access.is_admin()));
drop policy if exists call_participants_worker_all on public.call_participants;
create policy call_participants_worker_all on public.call_participants for all to voice_worker
    using (true) with check (true);

-- What a call consumed is shown to its owner, not to everybody in it.
drop policy if exists voice_usage_select_own on public.voice_usage;
create policy voice_usage_select_own on public.voice_usage for select to authenticated
    using (
        exists (
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

call voice_worker.schema_reached(42, 20);

-- migrate:down
