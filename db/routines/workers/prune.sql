-- Deletes rows that are no longer needed: workers without a heartbeat for a week that hold no call,
-- tombstones and records of deleted rows after 90 days (an outbox that is shipped later restores its
-- rows), and counts of users' writes after an hour.
--
-- With the owner's rights: a worker may not delete tombstones itself. Locks: the rows it deletes; waits
-- for none. Called by: voice_worker, by sweep.
create or replace function voice_worker.prune() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from voice_worker.workers where id in (
        select w.id from voice_worker.workers w
        where w.heartbeat_at < now() - interval '7 days' and w.id not in (
            select o.worker_id from voice_worker.open_calls() o where o.worker_id is not null
        )
        for update skip locked
    );
    delete from voice_worker.tombstones where call_id in (
        select t.call_id from voice_worker.tombstones t
        where t.deleted_at < now() - interval '90 days' limit 1000 for update skip locked
    );
    delete from voice_worker.deleted_rows where id in (
        select d.id from voice_worker.deleted_rows d
        where d.deleted_at < now() - interval '90 days' limit 1000 for update skip locked
    );
    delete from voice_worker.user_writes where (user_id, minute) in (
        select u.user_id, u.minute from voice_worker.user_writes u
        where u.minute < now() - interval '1 hour' limit 1000 for update skip locked
    );
end
$$;

revoke all on function voice_worker.prune() from public;
grant execute on function voice_worker.prune() to voice_worker;
