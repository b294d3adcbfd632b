-- Limits what a user writes into a leg: the size of metadata, and times, which are corrected to be
-- within the last day.
--
-- Trigger before insert or update of one row, with the owner's rights; only for writers with limits
-- (access/count_user_write.sql). Its name makes it fire before the duration is computed. Locks: none.
-- Nobody calls it.
create or replace function voice_worker.check_user_leg() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    was public.call_participants;
begin
    perform voice_worker.bound_size('metadata', octet_length(new.metadata::text), 65536);
    -- An upsert of a row that is there does nothing, or is an update, which is counted by itself.
    if tg_op = 'UPDATE' or not exists (select from public.call_participants where id = new.id) then
        perform voice_worker.count_user_write(octet_length(new::text));
    end if;
    if tg_op = 'UPDATE' then
        was := old;
    end if;
    if new.joined_at <> was.joined_at or was.joined_at is null then
        new.joined_at := voice_worker.at_most_now(new.joined_at, now() - interval '1 day');
    end if;
    if new.left_at <> was.left_at or was.left_at is null then
        new.left_at := voice_worker.at_most_now(new.left_at, new.joined_at);
    end if;
    return new;
end
$$;

revoke all on function voice_worker.check_user_leg() from public;

create or replace trigger call_participants_bound_user_trigger
    before insert or update on public.call_participants
    for each row when (not has_table_privilege('public.call_participants'::regclass, 'update'))
    execute function voice_worker.check_user_leg();
