-- Which rows of call_participants somebody sees and writes. A leg is visible to who has it, and where
-- its call is: the subquery is bound by the policies of voice_calls. An admin is recognized before a
-- row's call is looked up.
--
-- A leg opens the call to whoever has it: only the call's owner adds one, only his own, and only a
-- user's. Who is an admin is told by users.role, who is the agent by LiveKit.
alter table public.call_participants enable row level security;
drop policy if exists call_participants_select_own on public.call_participants;
create policy call_participants_select_own on public.call_participants for select to authenticated
    using (
        (select voice_access.is_admin())
        or user_id = (select auth.uid())
        or exists (select from public.voice_calls c where c.id = call_id)
    );
drop policy if exists call_participants_insert_own on public.call_participants;
create policy call_participants_insert_own on public.call_participants for insert to authenticated
    with check (
        (user_id is null or user_id = (select auth.uid()))
        and coalesce(participant_type, 'user') = 'user'
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
drop policy if exists call_participants_service_all on public.call_participants;
create policy call_participants_service_all on public.call_participants for all to service_role
    using (true) with check (true);
drop policy if exists call_participants_reader_select on public.call_participants;
create policy call_participants_reader_select on public.call_participants for select
    to voice_reader using (true);
