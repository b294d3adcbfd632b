-- Keeps total_tokens_used of a call, the tokens of its messages and of its language-model requests
-- that belong to no message, by adding the difference of each statement.
--
-- Trigger after each statement, one for each event, since a transition table belongs to one; with the
-- owner's rights, since row level security would silently hide the call from a participant's insert.
-- Locks: the rows of the calls (add_tokens). Nobody calls it.
create or replace function voice_worker.count_message_tokens() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    calls uuid[];
    tokens bigint[];
begin
    if tg_op = 'INSERT' then
        select array_agg(call_id), array_agg(n) into calls, tokens from (
            select call_id, sum(tokens_used) as n from new_rows group by call_id
        ) d where n <> 0;
    elsif tg_op = 'DELETE' then
        select array_agg(call_id), array_agg(-n) into calls, tokens from (
            select call_id, sum(tokens_used) as n from old_rows group by call_id
        ) d where n <> 0;
    else
        select array_agg(call_id), array_agg(n) into calls, tokens from (
            select call_id, sum(tokens_used) as n from (
                select call_id, tokens_used::bigint from new_rows
                union all select call_id, -tokens_used::bigint from old_rows
            ) both_sides group by call_id
        ) d where n <> 0;
    end if;
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
