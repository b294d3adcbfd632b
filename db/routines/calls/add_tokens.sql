-- Adds to total_tokens_used of calls, at a cost that does not grow with the call. The total stops at
-- the largest int, and at 0, instead of rejecting the row.
--
-- calls, tokens: two arrays of the same length; each call is in it once.
-- Locks: the rows of the calls, in the order of their ids, so that two statements cannot deadlock.
-- Called by the triggers of voice_messages, nobody else.
create or replace function voice_worker.add_tokens(calls uuid[], tokens bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform from public.voice_calls where id = any (calls) order by id for no key update;
    update public.voice_calls c
    set total_tokens_used = least(2147483647, greatest(0, c.total_tokens_used + d.tokens))
    from unnest(calls, tokens) as d (call_id, tokens)
    where c.id = d.call_id;
end
$$;

revoke all on function voice_worker.add_tokens(uuid[], bigint[]) from public;
