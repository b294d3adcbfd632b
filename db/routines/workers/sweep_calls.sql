-- Ends those of these calls that are open and still held by one of these workers, with their open
-- legs, at the last known time of each. Users may write any time into their calls, so future times are
-- ignored, except the worker's own, whose clock may be ahead.
--
-- ids: the calls. holders: the workers, or null for calls that no worker has claimed; these end as
-- not_served, the others as worker_lost.
-- Locks: the calls, in the order of their ids, and their open legs. Never waits: a call that is locked
-- is skipped until the next sweep.
-- Result: {worker: number of calls}, "nobody" for those without a worker. Called by: voice_worker.
create or replace function voice_worker.sweep_calls(ids uuid[], holders uuid[]) returns jsonb
language sql set search_path = pg_catalog, pg_temp as $$
    with open as (
        select c.id, greatest(
            (select w.heartbeat_at from voice_worker.workers w where w.id = c.worker_id),
            least(now(), greatest(coalesce(c.started_at, c.created_at), c.connected_at)),
            (
                select max(m.timestamp) from public.voice_messages m
                where m.call_id = c.id and (m.revision > 0 or m.timestamp <= now())
            ),
            (
                select max(greatest(p.joined_at, p.left_at)) from public.call_participants p
                where p.call_id = c.id
                    and (p.revision > 0 or greatest(p.joined_at, p.left_at) <= now())
            )
        ) as last_known
        from public.voice_calls c
        where c.id = any (ids) and c.status in ('pending', 'active')
            and case when holders is null then c.worker_id is null else c.worker_id = any (holders) end
        order by c.id for no key update skip locked
    ),
    ended as (
        update public.voice_calls v set
            status = 'failed', ended_at = o.last_known, swept_at = o.last_known,
            end_reason = case when holders is null then 'not_served' else 'worker_lost' end
        from open o where v.id = o.id
        returning v.id, v.ended_at, v.worker_id
    ),
    closed as (
        update public.call_participants p set
            left_at = greatest(p.joined_at, e.ended_at), closed_by_sweep = true
        from ended e where p.call_id = e.id and p.left_at is null
    )
    select coalesce(jsonb_object_agg(n.holder, n.calls), '{}') from (
        select coalesce(worker_id::text, 'nobody') as holder, count(*) as calls
        from ended group by 1
    ) n
$$;

revoke all on function voice_worker.sweep_calls(uuid[], uuid[]) from public;
grant execute on function voice_worker.sweep_calls(uuid[], uuid[]) to voice_worker;
