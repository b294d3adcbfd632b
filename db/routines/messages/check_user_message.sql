-- Limits what a user writes: sizes, and the time, which must be between the call's creation and now (it
-- is corrected, because a browser's wrong clock must not lose the message). Records who wrote the row.
-- Only the worker reports usage: tokens that a front end sends are not counted.
--
-- Trigger before insert or update of one row, with the owner's rights; only for writers with limits
-- (access/count_user_write.sql). Locks: none. Nobody calls it.
create or replace function voice_worker.check_user_message() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform voice_worker.bound_size('content', octet_length(new.content), 65536);
    perform voice_worker.bound_size('metadata', octet_length(new.metadata::text), 65536);
    perform voice_worker.bound_size('audio_url', octet_length(new.audio_url), 2048);
    -- An upsert of a row that is there does nothing, or is an update, which is counted by itself.
    if tg_op = 'UPDATE' or not exists (select from public.voice_messages where id = new.id) then
        perform voice_worker.count_user_write(octet_length(new::text));
    end if;
    if tg_op = 'INSERT' then
        new.author_id := auth.uid();
        new.tokens_used := 0;
        new.timestamp := voice_worker.at_most_now(new.timestamp, (
            select least(created_at, started_at) from public.voice_calls where id = new.call_id
        ));
    end if;
    return new;
end
$$;

revoke all on function voice_worker.check_user_message() from public;

create or replace trigger voice_messages_bound_user_trigger
    before insert or update on public.voice_messages
    for each row when (not has_table_privilege('public.voice_messages'::regclass, 'update'))
    execute function voice_worker.check_user_message();
