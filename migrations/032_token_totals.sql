-- migrate:up
-- voice_calls.total_tokens_used = tokens of its messages + tokens of its language-model requests
-- that belong to no message. Kept by adding the difference of each statement: the cost does not
-- grow with the call. SECURITY DEFINER: row level security would silently hide the call from
-- a participant's insert.

-- Calls are locked in the order of their ids first, so that two statements cannot deadlock.
-- The total stops at the largest int instead of refusing the row.
create or replace function voice_worker.add_tokens(calls uuid[], tokens bigint[]) returns void
language plpgsql set search_path = '' as $$
begin
    perform from public.voice_calls where id = any (calls) order by id for no key update;
    update public.voice_calls c
    set total_tokens_used = least(2147483647, greatest(0, c.total_tokens_used + d.tokens))
    from unnest(calls, tokens) as d (call_id, tokens)
    where c.id = d.call_id;
end
$$;
revoke all on function voice_worker.add_tokens(uuid[], bigint[]) from public;

create or replace function voice_worker.count_message_tokens() returns trigger
language plpgsql security definer set search_path = '' as $$
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

-- One trigger for each event: a transition table belongs to one.
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

create or replace function voice_worker.count_usage_tokens() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    calls uuid[];
    tokens bigint[];
begin
    if tg_op = 'INSERT' then
        select array_agg(call_id), array_agg(n) into calls, tokens from (
            select call_id, sum(total_tokens) as n from new_rows
            where message_id is null and kind in ('llm', 'realtime') group by call_id
        ) d where n <> 0;
    elsif tg_op = 'DELETE' then
        select array_agg(call_id), array_agg(-n) into calls, tokens from (
            select call_id, sum(total_tokens) as n from old_rows
            where message_id is null and kind in ('llm', 'realtime') group by call_id
        ) d where n <> 0;
    else
        select array_agg(call_id), array_agg(n) into calls, tokens from (
            select call_id, sum(total_tokens) as n from (
                select call_id, message_id, kind, total_tokens::bigint from new_rows
                union all select call_id, message_id, kind, -total_tokens::bigint from old_rows
            ) both_sides
            where message_id is null and kind in ('llm', 'realtime') group by call_id
        ) d where n <> 0;
    end if;
    if calls is not null then
        perform voice_worker.add_tokens(calls, tokens);
    end if;
    return null;
end
$$;
revoke all on function voice_worker.count_usage_tokens() from public;

create or replace trigger voice_usage_update_tokens_trigger
    after insert on public.voice_usage referencing new table as new_rows
    for each statement execute function voice_worker.count_usage_tokens();
create or replace trigger voice_usage_update_tokens_update_trigger
    after update on public.voice_usage
    referencing old table as old_rows new table as new_rows
    for each statement execute function voice_worker.count_usage_tokens();
create or replace trigger voice_usage_update_tokens_delete_trigger
    after delete on public.voice_usage referencing old table as old_rows
    for each statement execute function voice_worker.count_usage_tokens();

call voice_worker.schema_reached(32, 20);

-- migrate:down
