-- Limits what a user writes into a call: sizes, and times, which must be between its creation and now
-- (they are corrected, because a browser's wrong clock must not lose the end of a call). Marks the row
-- as made by a user, whatever the name of the role.
--
-- Trigger before insert or update of one row, with the owner's rights; only for writers with limits
-- (access/count_user_write.sql). Its name makes it fire before the duration is computed. Locks: none.
-- Nobody calls it.
create or replace function voice_worker.check_user_call() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    was public.voice_calls;
    earliest timestamptz;
begin
    perform voice_worker.bound_size('transcript', octet_length(new.transcript), 1048576);
    perform voice_worker.bound_size('metadata', octet_length(new.metadata::text), 65536);
    perform voice_worker.bound_size('recording_url', octet_length(new.recording_url), 2048);
    -- An upsert of a row that is there does nothing, or is an update, which is counted by itself.
    if tg_op = 'UPDATE' or not exists (select from public.voice_calls where id = new.id) then
        perform voice_worker.count_user_write(octet_length(new::text));
    end if;
    if tg_op = 'INSERT' then
        new.made_by := 'authenticated';
        perform voice_worker.bound_open_calls(new.user_id);
    else
        was := old;
    end if;
    -- A row that the worker stored late, Postgres having been away, is younger than its call.
    earliest := least(new.created_at, was.started_at);
    if new.started_at <> was.started_at or was.started_at is null then
        new.started_at := voice_worker.at_most_now(new.started_at, earliest);
    end if;
    if new.connected_at <> was.connected_at or was.connected_at is null then
        new.connected_at := voice_worker.at_most_now(new.connected_at, earliest);
    end if;
    if new.ended_at <> was.ended_at or was.ended_at is null then
        new.ended_at := voice_worker.at_most_now(new.ended_at, earliest);
    end if;
    return new;
end
$$;

revoke all on function voice_worker.check_user_call() from public;

create or replace trigger voice_calls_bound_user_trigger
    before insert or update on public.voice_calls
    for each row when (not has_table_privilege('public.voice_calls'::regclass, 'update'))
    execute function voice_worker.check_user_call();
