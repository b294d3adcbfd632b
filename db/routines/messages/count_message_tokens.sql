-- Keeps total_tokens_used of a call, the tokens of its messages and of its language-model requests
-- that belong to no message, by adding the difference of each statement.
--
-- Trigger after each statement, one for each event, since a transition table belongs to one; with the
-- owner's rights, since row level security would silently hide the call from a participant's insert.
-- Locks: the rows of the calls (add_tokens). Nobody calls it.
create or replace function voice_worker.count_message_tokens() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    -- Of each row its call and its tokens: as it is now, and as it was.
    now_of uuid[];
    now_tokens int[];
    was_of uuid[];
    was_tokens int[];
    calls uuid[];
    tokens bigint[];
begin
    if tg_op <> 'DELETE' then
        select array_agg(call_id), array_agg(tokens_used) into now_of, now_tokens
        from new_rows where tokens_used <> 0;
    end if;
    if tg_op <> 'INSERT' then
        select array_agg(call_id), array_agg(tokens_used) into was_of, was_tokens
        from old_rows where tokens_used <> 0;
    end if;
    if now_of is null and was_of is null then
        return null;
    end if;
    select array_agg(d.call_id), array_agg(d.n) into calls, tokens from (
        select r.call_id, sum(r.n) as n from (
            select * from unnest(now_of, now_tokens) as r (call_id, n)
            union all select r.call_id, -r.n from unnest(was_of, was_tokens) as r (call_id, n)
        ) r group by r.call_id
    ) d where d.n <> 0;
    if calls is not null then
        perform voice_worker.add_tokens(calls, tokens);
    end if;
    return null;
end
$$;

revoke all on function voice_worker.count_message_tokens() from public;

create or replace trigger voice_messages_update_tokens_trigger
    after insert on public.voice_messages referencing new table as new_rows
    for each statement execute function voice_worker.count_message_tokens();
create or replace trigger voice_messages_update_tokens_update_trigger
    after update on public.voice_messages
    referencing old table as old_rows new table as new_rows
    for each statement execute function voice_worker.count_message_tokens();
create or replace trigger voice_messages_update_tokens_delete_trigger
    after delete on public.voice_messages referencing old table as old_rows
    for each statement execute function voice_worker.count_message_tokens();
