-- Recomputes total_tokens_used, cost and unpriced_requests of calls from their turns and requests, for
-- one span of ids; the caller continues with the next span. Needed after rows were loaded without
-- triggers, or prices have changed.
--
-- after_id: where the last span ended. size: how many calls to check.
-- A call without turns and requests keeps its tokens: such calls were adopted.
-- Locks: the rows of these calls, in the order of their ids, for one span only; a session that adds to
-- them waits, and adds to the correct sum. Result: last_id (null at the end), changed. Called by:
-- service_role, the owner.
create or replace function voice_worker.recount_calls(
    after_id uuid, size int, out last_id uuid, out changed int
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select array_agg(c.id order by c.id) into ids from (
        select id from public.voice_calls where id > after_id order by id limit size
    ) c;
    last_id := ids[cardinality(ids)];
    perform from public.voice_calls where id = any (ids) order by id for no key update;
    update public.voice_calls c set
        total_tokens_used = s.tokens, cost = s.cost, unpriced_requests = s.unpriced
    from (
        select
            v.id, u.cost, u.unpriced,
            case when m.turns + u.requests > 0
                then least(2147483647, greatest(0, m.tokens + u.tokens))
                else v.total_tokens_used end::int as tokens
        from public.voice_calls v
        cross join lateral (
            select count(*) as turns, coalesce(sum(tokens_used), 0) as tokens
            from public.voice_messages where call_id = v.id
        ) m
        cross join lateral (
            select
                count(*) as requests, sum(r.cost) as cost,
                (count(*) - count(r.cost))::int as unpriced,
                coalesce(sum(voice_worker.call_tokens(r.message_id, r.kind, r.total_tokens)), 0)
                    as tokens
            from public.voice_usage r where r.call_id = v.id
        ) u
        where v.id = any (ids)
    ) s
    where c.id = s.id and (c.total_tokens_used, c.cost, c.unpriced_requests)
        is distinct from (s.tokens, s.cost, s.unpriced);
    get diagnostics changed = row_count;
end
$$;

revoke all on function voice_worker.recount_calls(uuid, int) from public;
grant execute on function voice_worker.recount_calls(uuid, int) to service_role;
