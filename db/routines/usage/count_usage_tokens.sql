-- Keeps total_tokens_used, cost and unpriced_requests of a call by adding the difference of each
-- statement, in one update. Only requests to language models that belong to no message count for the
-- tokens.
--
-- Trigger after each statement, one for each event, since a transition table belongs to one; with the
-- owner's rights, since row level security would silently hide the call. Locks: the rows of the calls
-- (add_usage). Nobody calls it.
create or replace function voice_worker.count_usage_tokens() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    calls uuid[];
    tokens bigint[];
    costs numeric[];
    priced bigint[];
    unpriced bigint[];
begin
    if tg_op = 'INSERT' then
        select array_agg(call_id), array_agg(t), array_agg(c), array_agg(p), array_agg(u)
        into calls, tokens, costs, priced, unpriced from (
            select call_id,
                coalesce(sum(total_tokens) filter (
                    where message_id is null and kind in ('llm', 'realtime')
                ), 0) as t,
                coalesce(sum(cost), 0) as c, count(cost) as p, count(*) - count(cost) as u
            from new_rows group by call_id
        ) d;
    elsif tg_op = 'DELETE' then
        select array_agg(call_id), array_agg(-t), array_agg(-c), array_agg(-p), array_agg(-u)
        into calls, tokens, costs, priced, unpriced from (
            select call_id,
                coalesce(sum(total_tokens) filter (
                    where message_id is null and kind in ('llm', 'realtime')
                ), 0) as t,
                coalesce(sum(cost), 0) as c, count(cost) as p, count(*) - count(cost) as u
            from old_rows group by call_id
        ) d;
    else
        select array_agg(call_id), array_agg(t), array_agg(c), array_agg(p), array_agg(u)
        into calls, tokens, costs, priced, unpriced from (
            select call_id,
                coalesce(sum(sign * total_tokens) filter (
                    where message_id is null and kind in ('llm', 'realtime')
                ), 0) as t,
                coalesce(sum(sign * cost), 0) as c,
                sum(sign * (cost is not null)::int) as p, sum(sign * (cost is null)::int) as u
            from (
                select 1 as sign, call_id, message_id, kind, total_tokens::bigint, cost
                from new_rows
                union all
                select -1, call_id, message_id, kind, total_tokens::bigint, cost from old_rows
            ) both_sides
            group by call_id
        ) d where t <> 0 or c <> 0 or p <> 0 or u <> 0;
    end if;
    if calls is not null then
        perform voice_worker.add_usage(calls, tokens, costs, priced, unpriced);
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
