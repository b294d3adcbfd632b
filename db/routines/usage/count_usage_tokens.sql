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
    -- Of each row its call, the tokens that count, and its cost: as it is now, and as it was.
    now_of uuid[];
    now_tokens int[];
    now_costs numeric[];
    was_of uuid[];
    was_tokens int[];
    was_costs numeric[];
    calls uuid[];
    tokens bigint[];
    costs numeric[];
    priced bigint[];
    unpriced bigint[];
begin
    if tg_op <> 'DELETE' then
        select
            array_agg(call_id), array_agg(cost),
            array_agg(voice_worker.call_tokens(message_id, kind, total_tokens))
        into now_of, now_costs, now_tokens from new_rows;
    end if;
    if tg_op <> 'INSERT' then
        select
            array_agg(call_id), array_agg(cost),
            array_agg(voice_worker.call_tokens(message_id, kind, total_tokens))
        into was_of, was_costs, was_tokens from old_rows;
    end if;
    if now_of is null and was_of is null then
        return null;
    end if;
    select
        array_agg(d.call_id), array_agg(d.t), array_agg(d.c), array_agg(d.p), array_agg(d.u)
    into calls, tokens, costs, priced, unpriced from (
        select
            r.call_id, sum(r.sign * r.n) as t, coalesce(sum(r.sign * r.cost), 0) as c,
            coalesce(sum(r.sign) filter (where r.cost is not null), 0) as p,
            coalesce(sum(r.sign) filter (where r.cost is null), 0) as u
        from (
            select 1 as sign, n.* from unnest(now_of, now_tokens, now_costs) as n (call_id, n, cost)
            union all
            select -1, w.* from unnest(was_of, was_tokens, was_costs) as w (call_id, n, cost)
        ) r group by r.call_id
    ) d where (d.t, d.c, d.p, d.u) <> (0, 0, 0, 0);
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
