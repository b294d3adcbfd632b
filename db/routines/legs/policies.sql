-- Which rows of call_participants a role may read and write. A leg is visible to its user, and to all
-- who see its call: the policies of voice_calls apply to the subquery. The check for an admin comes
-- before the lookup of a row's call.
--
-- A leg opens the call to its user. So only the call's owner may add one, only for themselves, and only
-- of the type user. users.role says who is an admin, LiveKit says who is the agent.
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
