-- Sums cost and unpriced_requests of calls anew from their requests: of one span of ids, so that a
-- caller goes on from there. Needed for calls from before costs were kept, or after rows were loaded
-- without triggers.
--
-- after_id: where the last span ended. size: how many calls to look at.
-- Locks: the rows of these calls, in the order of their ids. Result: the last id, null at the end.
-- Called by: service_role.
create or replace function voice_worker.recount_costs(after_id uuid, size int, out last_id uuid)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select array_agg(c.id order by c.id) into ids from (
        select id from public.voice_calls where id > after_id order by id limit size
    ) c;
    last_id := ids[cardinality(ids)];
    perform from public.voice_calls where id = any (ids) order by id for no key update;
    update public.voice_calls c set cost = s.cost, unpriced_requests = s.unpriced
    from (
        select v.id, sum(u.cost) as cost, count(u.id) - count(u.cost) as unpriced
        from unnest(ids) as v (id) left join public.voice_usage u on u.call_id = v.id
        group by v.id
    ) s
    where c.id = s.id and (c.cost, c.unpriced_requests) is distinct from (s.cost, s.unpriced::int);
end
$$;

revoke all on function voice_worker.recount_costs(uuid, int) from public;
grant execute on function voice_worker.recount_costs(uuid, int) to service_role;
