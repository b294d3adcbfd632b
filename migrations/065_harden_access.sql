-- migrate:up
-- Ways around the rules of 041 and 042, each closed here and tried in a test.

-- An empty search_path is not a fixed one: the session's temporary schema is still looked in first
-- for types. Whoever made a domain pg_temp.text with a check of his own had that check run with
-- the rights of the function's owner, at the first cast to text. So pg_temp is named, and last.
do $$
declare
    ours regprocedure;
begin
    for ours in
        select oid from pg_proc
        where pronamespace in ('voice_worker'::regnamespace, 'voice_access'::regnamespace)
        and proconfig @> array['search_path=""']
    loop
        execute format('alter routine %s set search_path = pg_catalog, pg_temp', ours);
    end loop;
end
$$;

-- A name of the form call-<user>-<milliseconds> is taken for oneself alone: else somebody could take
-- those of the next minutes, and the other one could make no call.
drop policy if exists voice_calls_insert_own on public.voice_calls;
create policy voice_calls_insert_own on public.voice_calls for insert to authenticated
    with check (
        user_id = (select auth.uid())
        and (
            session_id !~ '^call-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]+$'
            or starts_with(session_id, 'call-' || (select auth.uid())::text || '-')
        )
    );

-- A user's own leg is a user's. Who is an admin is told by users.role, who is the agent by LiveKit.
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

-- A call goes forward only: what is active is not made pending again, by anybody but the worker.
create or replace function voice_worker.block_reopen() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('voice_worker.applying', true) = 'on'
        and has_schema_privilege('voice_worker', 'usage')
    then
        return new;
    end if;
    new.status := old.status;
    if old.status in ('completed', 'failed') then
        new.started_at := old.started_at;
        new.connected_at := old.connected_at;
        new.ended_at := coalesce(old.ended_at, new.ended_at);
        new.end_reason := old.end_reason;
    end if;
    return new;
end
$$;
revoke all on function voice_worker.block_reopen() from public;

create or replace trigger voice_calls_block_reopen_trigger
    before update of status, started_at, connected_at, ended_at, end_reason on public.voice_calls
    for each row when (
        old.status in ('completed', 'failed')
        or (old.status = 'active' and new.status = 'pending')
    )
    execute function voice_worker.block_reopen();

-- TRUNCATE fires no trigger of rows and leaves no tombstones; a trigger that service_role made would
-- run with the rights of whoever writes next.
revoke all on
    public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    from service_role;
grant select, insert, update, delete on
    public.voice_calls, public.voice_messages, public.call_participants, public.voice_usage
    to service_role;

call voice_worker.schema_reached(65, 60);

-- migrate:down
