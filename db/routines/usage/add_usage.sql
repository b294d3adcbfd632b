-- Adds to total_tokens_used, cost and unpriced_requests of calls. Totals stop at the largest int, and
-- at 0, instead of refusing the row. cost stays null as long as no request of the call has a price.
--
-- calls, tokens, costs, priced, unpriced: arrays of the same length; a call stands in it once.
-- Locks: the rows of the calls, in the order of their ids, so that two statements cannot deadlock.
-- Called by the triggers of voice_usage, nobody else.
create or replace function voice_worker.add_usage(
    calls uuid[], tokens bigint[], costs numeric[], priced bigint[], unpriced bigint[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform from public.voice_calls where id = any (calls) order by id for no key update;
    update public.voice_calls c set
        total_tokens_used = least(2147483647, greatest(0, c.total_tokens_used + d.tokens)),
        cost = case when c.cost is not null or d.priced > 0
            then coalesce(c.cost, 0) + d.costs end,
        unpriced_requests = least(2147483647, greatest(0, c.unpriced_requests + d.unpriced))
    from unnest(calls, tokens, costs, priced, unpriced)
        as d (call_id, tokens, costs, priced, unpriced)
    where c.id = d.call_id;
end
$$;

revoke all on function voice_worker.add_usage(uuid[], bigint[], numeric[], bigint[], bigint[])
    from public;
