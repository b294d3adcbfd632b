-- Stores one heartbeat of a process that ships an outbox directory. All times are the database's: the
-- hosts' clocks are not used.
--
-- b: {"id", "kind", "hostname", "pid", "version", "agent_name", "livekit_worker_id", "uptime_s",
-- "lost_after_s", "backlog_events", "backlog_bytes", "backlog_seconds", "refused_events", "adopted":
-- [ids of directories that it ships too]}.
-- Locks: the worker's row and those of the directories it ships. Waits for a sweep that has the
-- worker's row, so that no call of it is swept after this.
-- Result: true if a sweep has counted it as lost. Called by: voice_worker.
create or replace function voice_worker.beat(b jsonb) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    me constant uuid := (b ->> 'id')::uuid;
    limit_ constant interval := make_interval(secs => (b ->> 'lost_after_s')::float8);
    adopted constant uuid[] := array(
        select id::uuid from jsonb_array_elements_text(b -> 'adopted') as a (id) order by 1
    );
    was_lost boolean;
begin
    -- Waits for a sweep that has this row, so that no call of it is swept after this.
    select w.lost_at is not null into was_lost from voice_worker.workers w where w.id = me for update;
    insert into voice_worker.workers as w (
        id, kind, hostname, pid, version, agent_name, livekit_worker_id, started_at, lost_after,
        backlog_events, backlog_bytes, backlog_seconds, refused_events
    )
    values (
        me, b ->> 'kind', b ->> 'hostname', (b ->> 'pid')::int, b ->> 'version', b ->> 'agent_name',
        b ->> 'livekit_worker_id', now() - make_interval(secs => (b ->> 'uptime_s')::float8), limit_,
        (b ->> 'backlog_events')::bigint, (b ->> 'backlog_bytes')::bigint,
        (b ->> 'backlog_seconds')::float8, (b ->> 'refused_events')::bigint
    )
    on conflict (id) do update set
        kind = excluded.kind,
        hostname = excluded.hostname,
        pid = excluded.pid,
        version = excluded.version,
        agent_name = excluded.agent_name,
        livekit_worker_id = excluded.livekit_worker_id,
        started_at = excluded.started_at,
        lost_after = excluded.lost_after,
        backlog_events = excluded.backlog_events,
        backlog_bytes = excluded.backlog_bytes,
        backlog_seconds = excluded.backlog_seconds,
        refused_events = excluded.refused_events,
        heartbeat_at = now(),
        unbroken_since = case when w.heartbeat_at < now() - limit_ / 3 then now()
            else least(w.unbroken_since, now()) end,
        stopped_at = null, lost_at = null, swept_calls = 0, shipped_by = null;
    -- Its backlog counts what they hold.
    insert into voice_worker.workers as w (id, kind, hostname, pid, version, lost_after, shipped_by)
    select id, 'outbox', b ->> 'hostname', (b ->> 'pid')::int, b ->> 'version', limit_, me
    from unnest(adopted) as a (id)
    on conflict (id) do update set
        lost_after = excluded.lost_after, shipped_by = me, heartbeat_at = now(),
        backlog_events = 0, backlog_bytes = 0, backlog_seconds = 0, refused_events = 0,
        stopped_at = null, lost_at = null, swept_calls = 0;
    -- A directory is let go only when all that was in it is shipped.
    update voice_worker.workers w set stopped_at = now(), shipped_by = null
    where w.shipped_by = me and w.id <> all (adopted);
    return coalesce(was_lost, false);
end
$$;

revoke all on function voice_worker.beat(jsonb) from public;
grant execute on function voice_worker.beat(jsonb) to voice_worker;
